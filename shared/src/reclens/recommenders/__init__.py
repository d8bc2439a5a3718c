"""Recommenders: models, training, full-ranking evaluation, capture of representations."""

from reclens.recommenders.base import Recommender, UserBatch
from reclens.recommenders.capture import CaseBatch, capture_cases, case_kind, count_cases
from reclens.recommenders.evaluation import evaluate, seen_mask
from reclens.recommenders.registry import build_recommender
from reclens.recommenders.storage import load_recommender, save_recommender
from reclens.recommenders.training import RecommenderTrainer

__all__ = [
    "CaseBatch",
    "Recommender",
    "RecommenderTrainer",
    "UserBatch",
    "build_recommender",
    "capture_cases",
    "case_kind",
    "count_cases",
    "evaluate",
    "load_recommender",
    "save_recommender",
    "seen_mask",
]
