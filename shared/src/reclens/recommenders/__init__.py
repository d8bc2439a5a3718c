"""Recommenders: models, training, full-ranking evaluation, capture of representations."""

from reclens.recommenders.base import Objective, Recommender, UserBatch
from reclens.recommenders.capture import (
    ORIGINS,
    CaseBatch,
    CaseKind,
    Origin,
    capture_cases,
    case_kind,
    count_cases,
)
from reclens.recommenders.checking import check_recommender
from reclens.recommenders.evaluation import evaluate, seen_mask
from reclens.recommenders.models.sasrec import full_softmax_loss
from reclens.recommenders.registry import build_recommender
from reclens.recommenders.storage import bring_recommender, load_recommender, save_recommender
from reclens.recommenders.training import RecommenderTrainer

__all__ = [
    "ORIGINS",
    "CaseBatch",
    "CaseKind",
    "Objective",
    "Origin",
    "Recommender",
    "RecommenderTrainer",
    "UserBatch",
    "bring_recommender",
    "build_recommender",
    "capture_cases",
    "case_kind",
    "check_recommender",
    "count_cases",
    "evaluate",
    "full_softmax_loss",
    "load_recommender",
    "save_recommender",
    "seen_mask",
]
