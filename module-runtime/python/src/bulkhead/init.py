"""What the host says to a module in its first message."""

import dataclasses
from typing import Any, Dict, Tuple

from .error import Error
from .limits import FRAME_BYTES_MAX_DEFAULT, PROTOCOL_VERSION


@dataclasses.dataclass(frozen=True)
class Init:
    """What a process of a module gets when it starts."""

    #: The module's name in this host.
    module: str
    #: The name of this process among all that the host has started for the module, like ``stock#3``.
    instance: str
    #: The manifest's ``[config]``.
    config: Dict[str, Any]
    #: A folder of the module's own, which outlives its processes.
    data_dir: str
    #: The longest frame that the host accepts.
    frame_bytes_max: int
    #: How many requests of its own the module may have unanswered.
    requests_max: int
    #: What the manifest grants, as lists of patterns: ``call``, ``event_emit``, ``entity_read`` and so on.
    capabilities: Dict[str, Tuple[str, ...]]
    #: What follows an exception in a handler: ``restart`` or ``continue``.
    on_panic: str


def read_init(payload: Any) -> Init:
    """Reads the payload of ``init``. Raises ``Error``; that of another version of the wire is permanent."""
    if not isinstance(payload, dict):
        raise Error("expected an object as the payload of init", code="bad_request")
    protocol = payload.get("protocol")
    if protocol != PROTOCOL_VERSION:
        sentence = f"this module speaks version {PROTOCOL_VERSION} of the wire, and the host version {protocol}"
        raise Error(sentence, code="bad_request", permanent=True)
    limits = payload.get("limits") or {}
    capabilities = payload.get("capabilities") or {}
    try:
        return Init(
            module=str(payload["module"]),
            instance=str(payload["instance"]),
            config=dict(payload.get("config") or {}),
            data_dir=str(payload.get("data_dir") or ""),
            frame_bytes_max=int(limits.get("frame_bytes_max") or FRAME_BYTES_MAX_DEFAULT),
            requests_max=int(limits.get("requests_max") or 1),
            capabilities={name: tuple(patterns) for name, patterns in capabilities.items()},
            on_panic=str(payload.get("on_panic") or "restart"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Error(f"the payload of init has another form: {error!r}", code="bad_request") from None
