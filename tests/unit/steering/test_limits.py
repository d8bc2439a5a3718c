"""The limits of requests stand in one place; the protos and the documentation repeat them."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from reclens.errors import InvalidInput
from reclens.steering import limits
from reclens.steering.limits import check_count

ROOT = Path(__file__).parents[3]
PROTOS = {
    name: (ROOT / "protos" / "reclens" / "api" / name / "v1" / f"{name}.proto").read_text()
    for name in ("steering", "inference")
}
STRENGTH = ["MAX_STRENGTH"]
FIELDS = {
    "steering": {
        "ItemHistory.item_ids": ["MAX_HISTORY"],
        "Edit.concept_id": ["PUSH_LATENTS"],
        "Edit.set": STRENGTH,
        "Edit.when": ["MAX_CONDITIONS"],
        "Blend.parts": ["MAX_BLEND_PARTS"],
        "BlendPart.weight": STRENGTH,
        "Condition.above": STRENGTH,
        "Constraints.exclude_item_ids": ["MAX_EXCLUDED"],
        "Constraints.tag_limits": ["MAX_TAG_LIMITS"],
        "RecommendRequest.top_k": ["MAX_TOP_K", "DEFAULT_TOP_K"],
        "RecommendRequest.edits": ["MAX_EDITS"],
        "BatchRecommendRequest.requests": ["MAX_BATCH"],
        "EditList.edits": ["MAX_EDITS"],
        "CompareRequest.top_k": ["MAX_TOP_K", "DEFAULT_TOP_K"],
        "CompareRequest.variants": ["MAX_VARIANTS"],
        "Variant.name": ["MAX_VARIANT_NAME"],
        "ExplainRequest.top_k": ["MAX_TOP_K", "DEFAULT_TOP_K"],
        "ProposeEditRequest.text": ["MAX_TEXT"],
        "Examples.liked_item_ids": ["MAX_EXAMPLES"],
        "ProposeEditRequest.max_latents": ["MAX_PROPOSED_LATENTS", "DEFAULT_PROPOSED_LATENTS"],
        "ProposeEditResponse.items": ["MAX_SHOWN_ITEMS"],
        "ListConceptsRequest.page_size": ["MAX_PAGE_SIZE", "DEFAULT_PAGE_SIZE"],
        "SearchConceptsRequest.text": ["MAX_TEXT"],
        "SearchConceptsRequest.page_size": ["MAX_PAGE_SIZE", "DEFAULT_SEARCH_PAGE_SIZE"],
        "Policy.description": ["MAX_TEXT"],
        "Policy.edits": ["MAX_EDITS"],
        "Policy.comment": ["MAX_TEXT"],
        "ListPoliciesRequest.page_size": ["MAX_PAGE_SIZE", "DEFAULT_PAGE_SIZE"],
        "ListPolicyVersionsRequest.page_size": ["MAX_PAGE_SIZE", "DEFAULT_PAGE_SIZE"],
        "DeletePolicyRequest.comment": ["MAX_TEXT"],
        "ListReleasesRequest.page_size": ["MAX_PAGE_SIZE", "DEFAULT_PAGE_SIZE"],
    },
    "inference": {
        "ItemHistory.items": ["MAX_HISTORY"],
        "LatentEdit.strength": STRENGTH,
        "LatentCondition.level": STRENGTH,
        "RankRequest.top_k": ["MAX_TOP_K"],
        "RankRequest.edits": ["MAX_EDITS"],
        "RankRequest.excluded_items": ["MAX_EXCLUDED"],
        "RankRequest.tag_limits": ["MAX_TAG_LIMITS"],
        "BatchRankRequest.requests": ["MAX_RANK_BATCH"],
        "ProposeRequest.items": ["MAX_PROPOSE_ITEMS"],
        "ProposeRequest.max_latents": ["MAX_PROPOSED_LATENTS"],
    },
}
"""Limits that the comment of a field tells."""
BOUND = re.compile(r"(?:[Aa]t most|[Uu]p to|\d to|\[-?\d+,) ([\d,]*\d)")


def comments(proto: str) -> dict[str, str]:
    """What is said of each field, with what is said of the choice or message that it begins."""
    found: dict[str, str] = {}
    message, said = "", ""
    for line in map(str.strip, proto.splitlines()):
        if line.startswith("//"):
            said += f" {line[2:].strip()}"
            continue
        if begun := re.match(r"(?:message|service|enum) (\w+)", line):
            message = begun[1]
        elif line.startswith("oneof"):
            continue
        elif field := re.match(r"(?:repeated |optional )?\w+ (\w+) = \d+;", line):
            found[f"{message}.{field[1]}"] = said
        said = "" if not begun else said
    return found


@pytest.mark.parametrize("name", PROTOS)
def test_comments_of_the_protos_tell_the_limits(name: str) -> None:
    said = comments(PROTOS[name])
    for field, names in FIELDS[name].items():
        for one in names:
            shown = f"{int(getattr(limits, one)):,}"
            told = re.findall(r"\d[\d,]*\d|\d", said[field])
            assert {shown, shown.replace(",", "")} & set(told), (field, one, said[field])


@pytest.mark.parametrize("name", PROTOS)
def test_no_comment_tells_a_limit_that_is_none_of_these(name: str) -> None:
    for field, said in comments(PROTOS[name]).items():
        told = {int(bound.replace(",", "")) for bound in BOUND.findall(said)}
        known = {int(getattr(limits, one)) for one in FIELDS[name].get(field, ())}
        # Shares, and the length of a name, which is part of a pattern.
        assert told - known <= {1, 63}, (field, said)


def table() -> str:
    """The limits as a table, from their declarations."""
    assert limits.__file__
    rows = ["| name | limit | of what |", "|---|---|---|"]
    for one, after in pairwise(ast.parse(Path(limits.__file__).read_text()).body):
        if isinstance(one, ast.AnnAssign) and isinstance(after, ast.Expr):
            name = ast.unparse(one.target)
            what = " ".join(ast.literal_eval(after.value).split())
            value = getattr(limits, name)
            shown = value if isinstance(value, str) else f"{int(value):,}"
            rows.append(f"| `{name}` | {shown} | {what} |")
    return "\n".join(rows) + "\n"


def test_the_page_of_the_documentation_has_them_all() -> None:
    page = (ROOT / "docs" / "reference" / "limits.md").read_text()
    assert page.endswith(table()), f"docs/reference/limits.md should end with:\n{table()}"


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 items are too few. give 1 to 3."), (4, "4 items are too many. give 1 to 3.")],
)
def test_what_is_out_of_bounds_is_refused_with_the_bounds(count: int, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_count(count, 3, "items", field="things", least=1)
    error = refused.value
    assert (f"{error.message} {error.remedy}", error.field) == (told, "things")
    check_count(1, 3, "items", field="things", least=1)
    check_count(3, 3, "items", field="things", least=1)
