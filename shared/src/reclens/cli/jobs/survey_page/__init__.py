"""A survey as one file of HTML that works without a network: what raters open."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import jinja2
from markupsafe import Markup

from reclens.concepts.people.survey import Survey

_HERE = Path(__file__).parent
SCRIPTS = ("state.js", "page.js")
"""Scripts of the page, in order; the first is pure functions and knows no page."""


def as_page(survey: Survey) -> str:
    """The page. Text of items and labels is escaped, and a content policy forbids any script but
    the page's own and any request."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        survey=survey,
        places=_places(survey),
        choices=(("yes", "y", "Yes"), ("no", "n", "No"), ("cannot tell", "?", "Cannot tell")),
        script=Markup(script),
        style=Markup(style),
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def _places(survey: Survey) -> Markup:
    """Survey id, and question and case of each group, as JSON: numbers and digits only."""
    asked = [
        [question["question"], case]
        for question in map(asdict, survey.questions)
        for case in [*(one["case"] for one in question["cases"]), "label"]
    ]
    return Markup(json.dumps({"survey": survey.survey_id, "places": asked}))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
