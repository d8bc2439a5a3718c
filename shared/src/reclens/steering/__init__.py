"""Edits of latents, written back into the recommender's forward pass.

``limits`` and ``edits`` say what may be asked for, ``wire`` converts edits from and to messages,
``policies`` is their stored form and ``pushes`` finds what adding a concept changes; they need no
torch, so that the gateway runs without it. ``engine``, ``scores`` and ``proposals`` are the maths.
"""

from reclens.steering.edits import Comparison as Comparison
from reclens.steering.edits import LatentCondition as LatentCondition
from reclens.steering.edits import LatentEdit as LatentEdit
from reclens.steering.edits import LatentGroup as LatentGroup
from reclens.steering.edits import Mode as Mode
from reclens.steering.edits import Operation as Operation
from reclens.steering.edits import Unit as Unit
