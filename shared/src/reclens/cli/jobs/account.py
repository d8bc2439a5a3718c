"""The account of an import, as people read it at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from reclens.cli.output import clean_cell, print_line
from reclens.contracts import JobResult
from reclens.contracts.account import Finding, ImportAccount

_SPLIT_COLUMNS = ("interactions", "users", "items", "evaluable", "cold users", "cold items")


def account_of_result(result: JobResult | None) -> ImportAccount | None:
    """The account in the result of an import; None of any other job, or of an older import."""
    account = None if result is None else result.metrics.get("account")
    return None if account is None else ImportAccount.parse(account)


def print_account(account: ImportAccount) -> None:
    """Print counts, what the split holds, and what is odd."""
    for line in account_lines(account):
        print_line(f"  {clean_cell(line)}".rstrip())


def account_lines(account: ImportAccount) -> Iterator[str]:
    """The account in words, line by line."""
    dropped = account.rows_dropped
    yield (
        f"rows      {account.rows_read:,} read, {account.rows_kept:,} kept; left out: "
        f"{dropped.copies:,} copies, {dropped.min_rating:,} by min_rating, "
        f"{dropped.k_core:,} by k_core"
    )
    yield (
        f"          {account.exact_copies:,} exact copies read; of those kept {account.repeats:,} "
        f"repeat an interaction, {account.ties:,} tie in time"
    )
    yield f"users     {account.users:,} of {account.users_read:,}"
    yield (
        f"items     {account.items:,} of {account.items_read:,}: {account.titled:,} with a title, "
        f"{account.tagged:,} with tags, {account.undescribed:,} with neither; "
        f"{account.unmet:,} described that nobody met"
    )
    if account.first_time is not None and account.last_time is not None:
        yield f"times     {moment(account.first_time)} to {moment(account.last_time)} (UTC)"
    yield "split     " + "".join(f"{name:>14}" for name in _SPLIT_COLUMNS)
    for name, part in account.splits.items():
        counts = (
            f"{part.interactions:,}",
            f"{part.users:,}",
            f"{part.items:,}",
            "" if name == "train" else f"{part.evaluable_users:,}",
            f"{part.cold_users:,}",
            f"{part.cold_items:,}",
        )
        yield f"  {name:<8}" + "".join(f"{count:>14}" for count in counts)
    for finding in account.findings:
        yield from finding_lines(finding)


def finding_lines(finding: Finding) -> Iterator[str]:
    """A finding with its place, and below it what to do."""
    where = f"{finding.place}: " if finding.place else ""
    yield f"{finding.level:<9} {finding.code} ({finding.count:,}): {where}{finding.message}"
    if finding.remedy:
        yield f"          {finding.remedy}"


def moment(seconds: int) -> str:
    """A point in time, UTC; the number, where there is no such day."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return f"{seconds:,} seconds"
