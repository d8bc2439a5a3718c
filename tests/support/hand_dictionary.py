"""A dictionary small enough to steer by hand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Codes:
    indices: Tensor
    values: Tensor


class HandDictionary:
    """Two dimensions, four latents: +e1, +e2, -e1 and (0.6, 0.8); scale 2, mean (1, 0).

    Latents 0 and 1 read the centred and scaled input; the others never fire by themselves.
    """

    W_dec = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]])
    input_mean = torch.tensor([1.0, 0.0])
    input_scale = torch.tensor(2.0)

    def encode(self, x: Tensor) -> Codes:
        z = ((x - self.input_mean) / self.input_scale).clamp(min=0)
        values, indices = z.sort(dim=1, descending=True)
        return Codes(indices, values)

    def decode(self, codes: Codes) -> Tensor:
        dense = codes.values.new_zeros(len(codes.values), 4)
        dense.scatter_add_(1, codes.indices, codes.values)
        return self.input_scale * (dense @ self.W_dec) + self.input_mean


SAE = HandDictionary()
P99 = torch.tensor([2.0, 4.0, 1.0, 0.5])
