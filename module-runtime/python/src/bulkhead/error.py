"""The error with which a request is answered, and the one that an answer of another brings."""

from typing import Any, Dict, List, Optional

from .limits import ERROR_TEXT_BYTES_MAX

#: The codes of PROTOCOL.md with which a module may answer. Any other is the module's own.
CODES = frozenset(
    {
        "bad_request",
        "unknown_type",
        "unknown_command",
        "module_error",
        "deadline_exceeded",
        "cancelled",
        "overloaded",
        "frame_too_large",
        "permission_denied",
        "not_found",
        "conflict",
    }
)

#: The codes that only the host answers with.
HOST_CODES = frozenset(
    {"unknown_module", "module_crashed", "module_unavailable", "protocol_error", "quarantined", "internal"}
)

_RETRYABLE = frozenset({"module_crashed", "module_unavailable", "deadline_exceeded", "overloaded", "internal"})


class Error(Exception):
    """Why a request failed, for the one who sent it.

    A handler that raises it answers its request with it, and the module goes on. Any other exception means that
    the handler has a bug: it is answered as well, and then the process ends.

    - ``sentence``: for a person; lower case, no final period.
    - ``code``: one of the wire's codes (``not_found``, ``conflict``, ``permission_denied``, …) or one of the
      module's own, such as ``out_of_stock``, which callers see as ``module_code`` beside ``module_error``.
    - ``data``: details for programs.
    - ``retryable``: whether the same request may succeed later; left out, as the code says.
    - ``permanent``: the process ends, and is not started again until a person changes something.

    An error of the host's answer, as ``Context.call`` raises it, also has ``delivery``, ``exit`` and ``stderr``.
    One that is not caught is passed on with its sentence.
    """

    def __init__(
        self,
        sentence: str,
        *,
        code: str = "module_error",
        data: Any = None,
        retryable: Optional[bool] = None,
        permanent: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.sentence = str(sentence)
        self.code = code if code in CODES or code in HOST_CODES else "module_error"
        self.module_code: Optional[str] = None if self.code == code else code
        self.data = data
        self._retryable = retryable
        self.permanent = permanent
        self.delivery: Optional[str] = None
        self.exit: Optional[Dict[str, Any]] = None
        self.stderr: List[str] = []

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.code in _RETRYABLE if self._retryable is None else self._retryable

    def __str__(self) -> str:
        return self.sentence

    @classmethod
    def of_response(cls, members: Dict[str, Any]) -> "Error":
        """The error that a response of the host brings."""
        sentence = members.get("error")
        error = cls(
            sentence if isinstance(sentence, str) else "the answer is an error without a sentence",
            code=str(members.get("code") or "module_error"),
            data=members.get("data"),
            retryable=members.get("retryable"),
        )
        if error.code in HOST_CODES:
            # Where it is passed on, its code is not, and with that what the code says.
            error._retryable = error.retryable
        if members.get("module_code") is not None:
            error.module_code = str(members["module_code"])
        error.delivery = members.get("delivery")
        error.exit = members.get("exit")
        error.stderr = list(members.get("stderr") or ())
        return error

    def members(self) -> Dict[str, Any]:
        """What a module may say of itself: what another answered keeps its sentence, but not a code, a crash or
        a delivery that is not this module's."""
        members: Dict[str, Any] = {"error": _cut(self.sentence), "code": self.code}
        module_code = self.module_code
        if self.code in HOST_CODES:
            members["code"] = "module_error"
            module_code = module_code or self.code
        if self._retryable is not None:
            members["retryable"] = self._retryable
        if module_code is not None:
            members["module_code"] = module_code
        if self.data is not None:
            members["data"] = self.data
        return members


def _cut(sentence: str) -> str:
    if len(sentence) * 4 <= ERROR_TEXT_BYTES_MAX:
        return sentence
    cut = sentence.encode("utf-8", "replace")[:ERROR_TEXT_BYTES_MAX]
    return cut.decode("utf-8", "ignore")
