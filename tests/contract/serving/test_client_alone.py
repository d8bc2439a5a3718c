"""The distribution without extras, in an environment with nothing else, calls a gateway."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
NEEDED = {"grpcio", "protobuf", "googleapis-common-protos"}
CALLS = """
import json, sys
from reclens.client import SteeringClient, more
from reclens.errors import NotFound

with SteeringClient(sys.argv[1]) as client:
    comedy = more("comedy", 0.5)
    client.create_policy("funny", edits=[comedy])
    answer = client.recommend(user_id="user-0", edits=[comedy], top_k=5)
    with client.session(user_id="user-0", top_k=5) as session:
        untouched = next(session).result()
        steered = session.ask(edits=[comedy])
    try:
        client.recommend(user_id="user-0", edits=[more("comdy")])
    except NotFound as error:
        refused = error
    print(json.dumps({
        "items": [item.item_id for item in answer.items],
        "session": [item.item_id for item in steered.items],
        "untouched": len(untouched.items),
        "latents": len(client.explain(user_id="user-0").explanation.latents),
        "policies": [policy.policy_id for policy in client.policies()],
        "refused": [refused.field, refused.remedy],
        "modules": sorted(sys.modules),
    }))
"""


def _distributions(names: set[str]) -> dict[str, metadata.Distribution]:
    """These and all that they need, by name, without extras."""
    found: dict[str, metadata.Distribution] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found[name] = metadata.distribution(name)
        for requirement in found[name].requires or ():
            if "extra ==" not in requirement:
                waiting |= {re.split(r"[^\w.-]", requirement)[0].lower()} - found.keys()
    return found


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment into which `pip install` has put the distribution, offline: what it
    needs is copied from this environment before."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    site = next((folder / "venv" / "lib").iterdir()) / "site-packages"
    for distribution in _distributions(NEEDED).values():
        for file in distribution.files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(distribution.locate_file(file)), site / file)
    # Setuptools writes into the folder that it builds.
    leftovers = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(REPOSITORY / "shared", folder / "shared", ignore=leftovers)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", str(folder)]
    subprocess.run([*pip, *build, str(folder / "shared")], check=True)
    wheel = next(folder.glob("*.whl"))
    # With its dependencies: what is not there yet, pip would have to look for, and may not.
    install = ["--python", str(python), "install", "--quiet", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True)
    return python


def test_only_three_packages_are_asked_for() -> None:
    requires = metadata.requires("reclens") or []
    base = {re.split(r"[^\w.-]", line)[0] for line in requires if "extra ==" not in line}
    assert base == NEEDED


def test_no_older_runtime_is_asked_for_than_what_made_the_stubs() -> None:
    stubs = REPOSITORY / "shared" / "src" / "reclens" / "api" / "steering" / "v1"
    grpcio = re.search(
        r"GRPC_GENERATED_VERSION = '(.+)'", (stubs / "steering_pb2_grpc.py").read_text()
    )
    protobuf = re.search(
        r"# Protobuf Python Version: (.+)", (stubs / "steering_pb2.py").read_text()
    )
    assert grpcio
    assert protobuf
    requires = metadata.requires("reclens") or []
    assert f"grpcio>={grpcio[1]}" in requires
    assert f"protobuf>={protobuf[1]}" in requires


def test_client_alone_calls_a_gateway(bare_python: Path, sasrec) -> None:
    done = subprocess.run(
        [bare_python, "-I", "-W", "error", "-c", CALLS, sasrec.gateway.address],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = json.loads(done.stdout)
    assert len(said["items"]) == said["untouched"] == 5
    assert said["session"] == said["items"]
    assert said["latents"]
    assert said["policies"] == ["funny"]
    assert said["refused"][0] == "edits[0].concept_id"
    assert "comedy" in said["refused"][1]
    loaded = {module for module in said["modules"] if module.startswith("reclens.")}
    assert not any(module.startswith("reclens.platform") for module in loaded)
    top_level = {module.partition(".")[0] for module in said["modules"]} - {"reclens"}
    ours = top_level - set(sys.stdlib_module_names)
    assert ours <= {"grpc", "google", "typing_extensions", "__main__", "cython_runtime"} | {
        module for module in ours if module.startswith("_")
    }
