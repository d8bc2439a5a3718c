"""Columns of the Parquet tables: what a stage writes and the next one reads."""

from __future__ import annotations

from typing import Final

# datasets/{id}/
INTERACTIONS: Final = "interactions.parquet"
"""user_index int32, item_index int32, timestamp int64 (seconds), rating float32 or null,
split string (train, valid, test). Sorted by user_index, then time, then order in the source."""
ITEMS: Final = "items.parquet"
"""Row i is item_index i: item_id string, title string, tags list<string>, year int16 or null,
popularity int32 (number of train interactions)."""
USERS: Final = "users.parquet"
"""Row u is user_index u: user_id string, attributes map<string, string>."""
ITEM_TAGS: Final = "item_tags.parquet"
"""Only where the source tells who gave which tag: a row per item and tag, item_index int32, tag
string, users int32 (number of users who gave it). Sorted by item_index, then tag; tags that
``items.parquet`` leaves out are here too. Where taggers were held out, held_out_users int32: those
among these users whose tags ``items.parquet`` is not made of."""

# activations/{id}/
ACTIVATION_SHARD: Final = "shard-{:05d}.parquet"
"""user_id string, split string (train, construct, verify, test: the division of users), origin
string, context list<string> (item ids, oldest first), representation fixed_size_list<float32 or
float16>[d], top_items list<string>, top_scores list<float32>.

``origin``: ``history``, the representation was computed from the context; ``learned``, it is the
vector that the model learned for this user, and the context is the user's whole history;
``folded``, the context, a random part of the user's history, was folded in as if the user were
unknown."""

# autoencoders/{id}/
CODE_SHARD: Final = "codes-{:05d}.parquet"
"""Latents of the users that were not trained on: user_id string, split string (construct, verify,
test), origin string, context list<string>, top_items list<string>, latents list<int32>, values
list<float32> (the k of the case, falling)."""
LATENTS: Final = "latents.parquet"
"""Row j is latent j, over the train users: latent int32, density float64 (share of cases that fire
it), mean float32 (over firing cases), p99 float32 (over firing cases; 0 when it never fires),
maximum float32."""

# concepts/{id}/
CONCEPTS: Final = "concepts.parquet"
"""Row j is latent j: latent int32, concept_id string or null, label string or null, description
string, keywords list<string>, confidence float64 or null, precision, recall, specificity,
balanced_accuracy float64 or null, n_positive, n_negative int32, evidence_items list<string>,
source string, prompt_version string or null, model string or null. Beside them: support and lift of
the keywords; recall_low, recall_high, specificity_low, specificity_high (95 % Wilson intervals);
auroc, paper_p float64 or null; trusted bool; and concept_confidence, concept_precision,
concept_recall, concept_auroc float64 or null, concept_n_positive, concept_n_negative int32,
concept_trusted bool: the same for the whole concept, equal in all rows of one concept_id.
duplicate_group int32 or null: lowest latent of those that are copies of each other; parent int32 or
null: latent of an earlier nested level that this one is part of. Tables made by earlier versions
lack these two."""

# evaluations/{id}/
FIDELITY: Final = "fidelity.parquet"
"""A row per held-out user, variant and origin: user_id, split (construct, verify, test), origin
(history, learned, folded), variant (base, reconstruction, random_sae, mean) string; hr@k, ndcg@k,
overlap@k, kendall, spearman float64."""
LATENT_QUALITY: Final = "latent_quality.parquet"
"""Row j is latent j, on test users: latent int32, paper_p float64 or null, first_item string or
null (of its strongest case); and float64 or null: intra, intra_distinct, random_case (cosines of
the items of its strongest cases, and of those of random ones), coherence, coherence_random (mean
pairwise cosine of its strongest items, and of random ones as popular), intruder, intruder_hard
(share of draws in which a silent case is told from five firing ones), these by the recommender's
item vectors, the same with ``_text`` behind by item text; point_biserial, purity_10, purity_20,
purity_50 (of the label by tags), and these with ``shuffled_`` before (of another's label)."""
LEVELS: Final = "levels.parquet"
"""A row per activation level and labelled latent that fires in enough test cases: latent int32,
level int32 (0: silent), cases, hits, exchanged_hits int64 (with the concept of another latent)."""
EXAMPLES: Final = "examples.parquet"
"""A row per example latent and test case: latent int32, label string, activation float32,
with_concept bool."""

SERVED_SPLITS: Final = ("construct", "verify", "test")
"""Users whose latents are stored with the autoencoder."""
