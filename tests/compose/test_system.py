"""What a user finds after `docker compose up`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from composed_system import APPLICATIONS, Clients, System, until
from readme_examples import PYTHON_EXAMPLES, run_example

from reclens.client import SteeringClient, more


def test_every_part_is_healthy_and_the_one_shots_have_ended(system: System):
    assert {name: system.health(name) for name in ("redis", "s3", *APPLICATIONS)} == dict.fromkeys(
        ("redis", "s3", *APPLICATIONS), "healthy"
    )
    for one_shot in ("credentials", "init"):
        state = system.inspect(one_shot)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0)


def test_the_gateway_answers_steered_beside_untouched(clients: Clients):
    with SteeringClient(clients.gateway, token=clients.token) as client:
        concept = client.search_concepts(text="action")[0].concept_id
    answer = clients.recommend(edits=[more(concept, 0.4)], include_baseline=True)
    assert len(answer.items) == len(answer.baseline) == 10
    assert answer.effect.overlap < 1
    untouched = clients.recommend(include_baseline=True)
    assert [item.item_id for item in untouched.items] == [i.item_id for i in answer.baseline]


def test_the_command_line_works_on_the_host(system: System):
    found = json.loads(system.cli("concepts", "search", "drama", "--json"))
    concept = (found["concepts"] if isinstance(found, dict) else found)[0]["concept_id"]
    for command in (
        ["concepts", "show", concept],
        ["recommend", "--user", "7", "--more", f"{concept}:0.2"],
        ["explain", "--user", "7"],
        ["propose", "slow crime dramas"],
        ["compare", f"a={concept}:0.2", f"b={concept}:-0.2", "--user", "7"],
        ["jobs", "list"],
        ["artifacts", "list"],
        ["policies", "create", "calm", "--more", concept, "--comment", "asked for by editors"],
        ["recommend", "--user", "196", "--policy", "calm"],
    ):
        assert system.cli(*command).strip(), command


def test_the_command_line_works_with_docker_alone(system: System):
    printed = system.compose(
        "--profile", "tools", "run", "--rm", "-T", "cli", "recommend", "--user", "7"
    )
    assert len(printed.splitlines()) > 10


@pytest.mark.parametrize("name", PYTHON_EXAMPLES)
def test_python_examples_of_the_readme_run_as_they_stand(
    name: str, system: System, clients: Clients, tmp_path: Path
):
    printed = run_example(PYTHON_EXAMPLES[name], system.environment(), tmp_path)
    if name == "celery":
        # The pipeline that `init` has run is all there: nothing is computed again.
        for _ in until(120, "the pipeline to be found"):
            view = clients.joblog.show(printed)
            if view.state.final:
                break
        assert view.state.value == "SUCCEEDED"


def test_a_job_by_celery_alone_is_watched_to_its_end(clients: Clients):
    sent = clients.celery.send_task(
        "reclens.dataset.import.v1",
        kwargs={"spec": {"name": "ml-100k", "split": {"kind": "ratio"}}},
        queue="capture",
    )
    result = sent.get(timeout=120)
    assert result["artifact"].startswith("datasets/")
    assert clients.store.exists(result["artifact"])
