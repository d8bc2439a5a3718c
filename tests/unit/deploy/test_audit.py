"""An audit that could not be made is not taken for one that found nothing."""

from __future__ import annotations

from typing import Any

from audit import verdict


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": [], **more}


VULNERABLE = package("old", vulns=[{"id": "PYSEC-1", "fix_versions": ["1.1"]}])
SKIPPED = {"name": "unknown", "skip_reason": "not found"}


def test_all_answered_and_nothing_known():
    assert verdict({"dependencies": [package("good")]})[0] == 0


def test_what_is_known_is_named_with_its_remedy():
    code, text = verdict({"dependencies": [package("good"), VULNERABLE]})
    assert (code, text) == (1, "old 1.0: PYSEC-1, mended in 1.1")


def test_a_package_without_an_answer_is_no_clean_bill():
    code, text = verdict({"dependencies": [package("good"), VULNERABLE, SKIPPED]})
    assert code == 2
    assert "PYSEC-1" in text
    assert (
        "NOT AUDITED: the vulnerability service told nothing of 1 of 3 packages (unknown)" in text
    )


def test_nothing_asked_is_no_clean_bill():
    assert verdict({"dependencies": []})[0] == 2
