"""Writes what an installation consists of, as CycloneDX 1.6: a file for each lock that is shipped.

    python deploy/supply/sbom.py dist

Each package has its version, its licence as it states it, the hashes of its files and what it
depends on. The same commit, platform and ``SOURCE_DATE_EPOCH`` give the same bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from licences import Policy, licence
from locks import PROJECTS, ROOT, SERVICES, closure, dependencies, locked, wanted
from packageurl import PackageURL
from packaging.utils import canonicalize_name

SHIPPED = ("runtime", *SERVICES)
VERSION = (ROOT / "VERSION").read_text().strip()


def bom(lock: str) -> Bom:
    """What the lock installs on this platform, PyTorch where it is needed, and the projects."""
    names = Policy.read().names
    document = Bom()
    document.metadata.timestamp = datetime.fromtimestamp(
        int(os.environ.get("SOURCE_DATE_EPOCH", "0")), tz=UTC
    )
    document.serial_number = uuid5(NAMESPACE_URL, f"reclens/{VERSION}/{lock}")
    whole = Component(
        name=f"reclens-{lock}", version=VERSION, type=ComponentType.APPLICATION, bom_ref=lock
    )
    document.metadata.component = whole
    found = closure(wanted(lock))
    components = {component.name: component for component in _components(lock, [*found], names)}
    for component in components.values():
        document.components.add(component)
    roots = {canonicalize_name(line.partition("[")[0]) for line in wanted(lock)}
    document.register_dependency(whole, [components[name] for name in sorted(roots)])
    for name, requirements in found.items():
        needed = {
            canonicalize_name(one.name) for each in requirements for one in dependencies(each)
        }
        document.register_dependency(
            components[name], [components[one] for one in sorted(needed & components.keys())]
        )
    return document


def _components(lock: str, reached: list[str], names: dict[str, str]) -> Iterator[Component]:
    licences = LicenseFactory()
    hashes = {package.name: package for package in locked(lock) if package.installed_here}
    for name in sorted({*reached, *hashes}):
        if name in PROJECTS:
            version, stated, files = VERSION, "Apache-2.0", ()
        else:
            version = hashes[name].version if name in hashes else metadata.version(name)
            stated = licence(metadata.metadata(name), names)
            files = hashes[name].hashes if name in hashes else ()
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=f"{name}=={version}",
            purl=PackageURL("pypi", None, name, version),
            licenses=[licences.make_from_string(stated)] if stated else (),
            external_references=[
                ExternalReference(
                    type=ExternalReferenceType.DISTRIBUTION,
                    url=XsUri(f"pkg:pypi/{name}@{version}"),
                    hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in files],
                )
            ]
            if files
            else (),
        )


def main(folder: Path) -> None:
    """Write ``reclens-<lock>-<version>.cdx.json`` of each lock that is shipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for lock in SHIPPED:
        path = folder / f"reclens-{lock}-{VERSION}.cdx.json"
        path.write_text(JsonV1Dot6(bom(lock)).output_as_string(indent=2) + "\n")
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
