"""Codes: sparse and dense."""

from __future__ import annotations

import torch

from reclens.sae.architectures.codes import Codes


def test_dense_puts_values_in_their_columns() -> None:
    codes = Codes(torch.tensor([[2, 0], [1, 2]]), torch.tensor([[3.0, 1.0], [5.0, 0.0]]))
    assert codes.dense(3).tolist() == [[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]]
