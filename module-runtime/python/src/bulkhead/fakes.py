"""Modules that a test answers. How their requests come is not known here."""

import dataclasses
import functools
import sys
import threading
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from . import text as json_text
from .error import Error


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request to a fake."""

    #: ``command``, ``query`` or ``mutation``.
    kind: str
    #: The command's name; ``None`` for others.
    name: Optional[str]
    #: The command's arguments, or the payload of others.
    args: Any
    key: Optional[str]


#: How a fake answers: one function for all requests, or for each command a function of its arguments, an ``Error`` or
#: the answer itself.
Answers = Union[Callable[[Asked], Any], Mapping[str, Any]]


class Fakes:
    """All fakes of a test."""

    def __init__(self, answers: Mapping[str, Answers]) -> None:
        self._answers: Dict[str, Answers] = dict(answers)
        self._asked: List[Tuple[str, Asked]] = []

    def set(self, name: str, answers: Answers) -> None:
        """Has a fake answer in another way."""
        if name not in self._answers:
            raise Error(f"there is no fake {name}; app.test(fakes={{{name!r}: …}}) declares it")
        self._answers[name] = answers

    def asked_of(self, fake: str) -> List[Asked]:
        """What was asked of one so far, in order."""
        return [asked for name, asked in list(self._asked) if name == fake]

    def take(self, message: Dict[str, Any], send: Callable[[Dict[str, Any]], None]) -> None:
        """Answers a request, by ``send``."""
        if message["type"] == "cancel":
            # The test host has answered the cancelled request already.
            self._answer(message, lambda: None, send)
            return
        payload: Any = message.get("payload")
        is_command = message["type"] == "command"
        name = payload["name"] if is_command else None
        args = (payload.get("args") or {}) if is_command else payload
        asked = Asked(message["type"], name, args, message.get("key"))
        self._asked.append((message["to"], asked))
        # A thread for each: a fake may call the module itself, and the wire is read meanwhile.
        run = functools.partial(self._answer, message, lambda: self._answer_of(message["to"], asked), send)
        threading.Thread(target=run, name="fake", daemon=True).start()

    def _answer(
        self, message: Dict[str, Any], work: Callable[[], Any], send: Callable[[Dict[str, Any]], None]
    ) -> None:
        try:
            answer = {"id": message["id"], "status": "success", "data": work()}
            json_text.write(answer)
        except Error as error:
            answer = {"id": message["id"], "status": "error", **error.members()}
        except Exception as error:  # A bug of the test: the module sees it, and so does the person.
            sentence = f"the fake {message['to']} raised {type(error).__name__}: {error}"
            print(sentence, file=sys.stderr)
            answer = {"id": message["id"], "status": "error", "error": sentence, "code": "module_error"}
        try:
            send(answer)
        except Error:
            # The host has ended, and with it the one who asked.
            pass

    def _answer_of(self, fake: str, asked: Asked) -> Any:
        answers = self._answers[fake]
        if not isinstance(answers, Mapping):
            return answers(asked)
        known = asked.name or asked.kind
        if known not in answers:
            code = "unknown_command" if asked.kind == "command" else "unknown_type"
            raise Error(f"the fake {fake} has no answer to {known}", code=code)
        answer = answers[known]
        if isinstance(answer, Error):
            raise answer
        if not callable(answer):
            return answer
        is_named = asked.kind == "command" and isinstance(asked.args, dict)
        return answer(**asked.args) if is_named else answer(asked.args)
