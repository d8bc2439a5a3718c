"""Settings that several processes share; each service adds its own.

Read from the environment with the prefix ``RECLENS_`` and ``__`` between levels, e.g.
``RECLENS_S3__ENDPOINT``, and from files of the same names in ``RECLENS_SECRETS_DIR``; a variable
that is empty says nothing. Built once in ``main`` and passed down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from reclens.contracts.datasets import DATASETS
from reclens.errors import InvalidInput, MissingData
from reclens.platform.files import is_data_below, is_open_data_below, open_path
from reclens.platform.scrubbing import hide
from reclens.platform.settings.files import SECRETS_VARIABLE, STATE_DIR_VARIABLE, SecretFiles


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RedisSettings(Section):
    """Broker, results, leases and job log."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis address, credentials included."""
    result_expires_seconds: int = Field(default=7 * 24 * 3600, ge=60)
    """How long job results and the job log are kept."""
    visibility_timeout_seconds: int = Field(default=600, ge=1)
    """A message that a living worker has lost is delivered again after this long. Jobs of a dead
    worker are taken over after 6 seconds, or half a minute where Redis still lists its connection,
    or after this time where it is shorter."""


class S3Settings(Section):
    """Object store, any that speaks S3 with conditional puts."""

    endpoint: str = "127.0.0.1:8333"
    """``host:port``, no scheme."""
    access_key: SecretStr = SecretStr("")
    """Access key."""
    secret_key: SecretStr = SecretStr("")
    """Secret key."""
    bucket: str = "reclens"
    """Bucket of all artifacts."""
    region: str = "us-east-1"
    """Region; most self-hosted stores ignore it."""
    secure: bool = False
    """Use TLS."""


class StoreChoice(Section):
    """Which kind of store artifacts are kept in."""

    kind: str = "s3"
    """``s3``, or a store that an installed package adds, see docs/how-to/extend/store.md."""
    address: str = ""
    """Where a store that was added has its objects, in its own words: a URL, a folder, ..."""


class RetentionSettings(Section):
    """What `reclens gc` keeps besides what releases and jobs need."""

    grace_days: float = Field(default=7, ge=0)
    """What is younger stays, with all that it was made from: of artifacts that no release names,
    of what attempts and jobs that failed have left, of uploads."""
    pins: str = Field(default="", pattern=r"^([a-z-]+/[0-9a-f]{16}( +|$))*$")
    """Artifacts that stay, with all that they were made from: references with spaces between, e.g.
    ``autoencoders/0123456789abcdef``."""
    dead_letters_days: float = Field(default=30, ge=0)
    """How long notes of jobs that killed their workers are kept."""
    llm_answers_days: float | None = Field(default=None, ge=0)
    """How long answers of language models are kept; what is missing is asked, and paid for, again.
    None: for ever."""
    release_versions: int | None = Field(default=None, ge=1)
    """Versions of each release that are kept, the newest, and with them their artifacts; pinned
    ones stay besides. None: all."""
    policy_versions: int | None = Field(default=None, ge=1)
    """Versions of each policy that are kept, the newest. None: all."""


class GatewayTarget(Section):
    """Where clients find the gateway."""

    target: str = "127.0.0.1:50051"
    """``host:port`` of SteeringService."""
    token: SecretStr | None = None
    """Bearer token, where the gateway asks for one, see `reclens tokens`."""
    ca: Path | None = None
    """PEM file with the CAs of the gateway's certificate. None: plain text."""
    certificate: Path | None = None
    """PEM file with the client's certificate, where the gateway asks for one."""
    key: Path | None = None
    """PEM file with its private key."""


class LlmSettings(Section):
    """Language model that labels and judges, where a job asks for one. Only the labeler asks it."""

    endpoint: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://")
    """Address of a server with ``/v1/chat/completions``, or another path of its dialect; the path
    may be left out."""
    dialect: str = Field(default="tgi", min_length=1, max_length=60)
    """How the server is told the JSON schema of the answer: ``tgi`` for Hugging Face TGI,
    ``openai`` for vLLM, SGLang, llama.cpp and hosted services, or what an installed package offers
    (docs/how-to/extend/llm-dialect.md). A server that does not know the form it is given may ignore
    it silently."""
    token: SecretStr | None = None
    """Sent as bearer token. None: nothing is sent."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Requests in flight at most, per process and endpoint."""
    timeout_seconds: float = Field(default=120, gt=0, le=3600)
    """Patience with one request."""
    retries: int = Field(default=5, ge=0, le=20)
    """Attempts after the first, where a fault can pass: overload, time-out, cut connection."""
    prompt_price: float = Field(default=0, ge=0)
    """Price of a million tokens read, in any currency, for the account in the manifest."""
    completion_price: float = Field(default=0, ge=0)
    """Price of a million tokens written, in the same currency."""

    @field_validator("endpoint")
    @classmethod
    def _only_an_address(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        # Reading the port checks it.
        if not parts.hostname or parts.port == 0 or parts.query or parts.fragment:
            raise ValueError("give http(s)://host:port, with a path at most")
        if "@" in parts.netloc:
            # The address is named in errors and logs.
            raise ValueError("put credentials into RECLENS_LLM__TOKEN, not into the address")
        return endpoint.rstrip("/")


class HeartbeatSettings(Section):
    """How a worker tells that it consumes."""

    file: Path | None = None
    """Renewed every few seconds while the worker consumes; the probe
    `reclens.platform.celery.health_probe` reads it. None: no file."""
    stall_seconds: float = Field(default=60, ge=1)
    """Without consuming for this long, although Redis answers, a worker no longer renews the file;
    after three times as long it ends itself, to be started again."""
    grace_seconds: float = Field(default=45, ge=0)
    """Time that it then has to save its jobs."""
    lost_seconds: float = Field(default=120, ge=0)
    """A job that has not ended and has no message for this long, in no queue and in no worker's
    hands, is sent again. 0: never."""


def _private_folders() -> list[Path]:
    named = [os.environ.get(name) for name in (STATE_DIR_VARIABLE, SECRETS_VARIABLE)]
    return [Path(folder).resolve() for folder in named if folder]


class DataSettings(Section):
    """Where raw data lies, so that nothing is downloaded. Besides what is listed, each installed
    data set has a variable of its own with the folder of its files, named as it is: `ML_100K`,
    `GROCERY` and so on, after the prefix of this section."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Path | None] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    root: Path | None = None
    """Folder with one folder for each data set, named as it is: ``ml-100k``, ``grocery``, ... What
    has none there is downloaded. A data set's own setting goes before."""

    roots: str = ""
    """Folders, divided by ``:``, below which specifications may name files (``source.path``,
    ``source.items_path``, ``model.weights.path``), besides the folders of the other settings here.
    Links are followed first; hidden files and all that is no regular file are refused. Empty: no
    file is taken. `reclens up` lists the folder that it is started in, unless this is set."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = {setting_of(name): name for name in DATASETS.names()}
        for setting in self.__pydantic_extra__:
            if setting not in known:
                raise ValueError(
                    f"{setting!r} is not one of the data sets {', '.join(known.values())}"
                )
        return self

    def folders(self) -> list[Path]:
        """Absolute folders below which specifications may name files."""
        listed = [Path(folder) for folder in self.roots.split(os.pathsep) if folder]
        named = [self.root, *self.__pydantic_extra__.values()]
        return [folder.resolve() for folder in (*listed, *named) if folder is not None]

    def admit(self, path: str | Path, field: str) -> None:
        """Let ``path``, which somebody else's specification named, pass or not.

        Args:
            path: of a file or folder; it need not exist.
            field: dotted name of the field with it.

        Raises:
            InvalidInput: it is not below `folders`, or no regular file or folder.
        """
        if not is_data_below(Path(path), self.folders(), _private_folders()):
            raise self._refusal(path, field)

    @contextmanager
    def opened(self, path: str | Path, field: str) -> Iterator[Path]:
        """As `admit`, for a file that is to be read now: for the life of the block, the path of the
        very file that was let pass, whatever is put in its place meanwhile.

        Raises:
            InvalidInput: as `admit`.
            MissingData: it cannot be opened.
        """
        self.admit(path, field)
        try:
            # A pipe that nobody writes to is no reason to wait.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise MissingData(
                f"{path} cannot be read ({error.strerror}).",
                field=field,
                remedy="give the path of a file that the worker may read.",
            ) from error
        try:
            if not is_open_data_below(descriptor, self.folders(), _private_folders()):
                raise self._refusal(path, field)
            own = open_path(descriptor)
            yield own if own.exists() else Path(path)
        finally:
            os.close(descriptor)

    def _refusal(self, path: str | Path, field: str) -> InvalidInput:
        folders = ", ".join(map(str, self.folders())) or "there is none"
        return InvalidInput(
            f"{path} is not taken for data: it is no regular file, not hidden, below the folders "
            f"that are listed here ({folders}).",
            field=field,
            remedy="bring the file into one of them, or let the operator of the worker list its "
            "folder: RECLENS_DATA__ROOTS=/folder:/another.",
        )

    def folder(self, name: str) -> Path | None:
        """Folder of the published data set ``name``: its own setting, else what lies in ``root``
        under its name, else None.

        Raises:
            MissingData: ``root`` cannot be entered.
        """
        own = self.__pydantic_extra__.get(setting_of(name))
        if own is not None or self.root is None:
            return own
        found = self.root / name
        try:
            return found if found.is_dir() else None
        except PermissionError as error:
            raise MissingData(
                f"{self.root} cannot be entered by user {os.geteuid()}.",
                field="RECLENS_DATA__ROOT",
                remedy=f"let all enter and read it: chmod -R a+rX on {self.root}, or on the folder "
                "that is mounted there.",
            ) from error


def setting_of(name: str) -> str:
    """What the data set ``name`` is called in `DataSettings`."""
    return name.replace("-", "_").replace(".", "_")


def data_setting(name: str) -> str:
    """Environment variable with the folder of the published data set ``name``."""
    return f"RECLENS_DATA__{setting_of(name).upper()}"


class StoreSettings(BaseSettings):
    """What reading and writing artifacts takes."""

    model_config = SettingsConfigDict(
        env_prefix="RECLENS_",
        env_nested_delimiter="__",
        # Whoever passes variables on, as Docker Compose does, passes those that are not set as "".
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        # A password in the wrong place would stand in the error, which ends in a log.
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    s3: S3Settings = S3Settings()
    """Object store."""
    store: StoreChoice = StoreChoice()
    """Another store in its place."""
    cache_dir: Path = Path(".reclens/cache")
    """Verified local copies of objects, named by checksum; safe to delete while nothing runs."""
    cache_max_bytes: int | None = Field(default=None, ge=1)
    """Bytes of these copies at most: those used least recently are removed first. What a process
    has read stays until it ends, so a job may take more. None: nothing is removed."""

    def model_post_init(self, context: Any, /) -> None:
        """What is secret here is in no log, result or span of this process."""
        hide(self)

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Nor in those of a process that gets them from another."""
        super().__setstate__(state)
        hide(self)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed goes before variables, and they before files.

        Raises:
            MissingData: the folder of the files does not exist, or one cannot be read.
        """
        return init_settings, env_settings, SecretFiles(file_secret_settings)


class ComputeSettings(StoreSettings):
    """What running models takes."""

    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Where models run: ``cpu``, ``cuda`` (the first GPU), ``cuda:N``, or ``auto``: the first GPU
    where torch sees one, else the CPU. A GPU that is asked for and not there is an error."""


class ClientSettings(StoreSettings):
    """What submitting jobs and asking the gateway takes."""

    redis: RedisSettings = RedisSettings()
    """Redis."""
    client: GatewayTarget = GatewayTarget()
    """Gateway, as clients see it."""
    retention: RetentionSettings = RetentionSettings()
    """What garbage collection keeps."""
    data: DataSettings = DataSettings()  # pyright: ignore[reportCallIssue]
    """Local raw data."""


class WorkerSettings(ComputeSettings):
    """What a Celery worker takes."""

    redis: RedisSettings = RedisSettings()
    """Redis."""
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    """How it tells that it consumes."""
    data: DataSettings = DataSettings()  # pyright: ignore[reportCallIssue]
    """Local raw data."""
    llm: LlmSettings = LlmSettings()
    """Language model."""
    metrics_listen: str = ""
    """``host:port`` of Prometheus metrics over HTTP, without a password, answered by the process
    that runs the jobs. Empty: nothing is counted."""
    compile: bool = False
    """Compile the trainer's step of autoencoders with ``torch.compile``, where it is PyTorch that
    computes it: on a GPU, or in bfloat16. Needs a C++ compiler on the CPU. What it saves depends
    on the GPU and the shape; it costs a minute or so at the start of a job."""
    segment_seconds: float = Field(default=300, gt=0)
    """A training job runs at most this long before it checkpoints and queues up again. Keep it
    below the visibility timeout."""
    checkpoint_seconds: float = Field(default=20, gt=0)
    """Seconds between checkpoints: what a crash can cost."""
    lease_seconds: float = Field(default=60, gt=0)
    """Life of the lease on an artifact, renewed three times within it. It ends before that where
    its worker is known to be dead."""
    progress_seconds: float = Field(default=3600, ge=0)
    """A job that does not say for this long how far it is no longer holds its lease, and its
    process is ended. 0: never."""
    max_deliveries: int = Field(default=3, ge=1)
    """Deliveries without progress after which a job becomes a dead letter."""
    max_retries: int = Field(default=6, ge=0)
    """Retries of a job, since it last advanced, on faults that can pass."""
    patience_seconds: float = Field(default=3600, ge=0)
    """How long a job waits, trying again, for a part that may be away for long: the object store,
    Redis, a language model that loads."""
