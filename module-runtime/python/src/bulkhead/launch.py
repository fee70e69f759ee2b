"""How a test starts a module: which file made it, which manifest counts, and the arguments of ``bulkhead test-host``.
Nothing runs here."""

import dataclasses
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from . import text as json_text
from .error import Error

if TYPE_CHECKING:
    from .testing import TestHost

#: The first name in a manifest, which is the module's.
_NAME = re.compile(r"""^\s*name\s*=\s*["']([^"']+)["']""", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Origin:
    """The file whose code made a module."""

    #: Its path; ``None`` where there is none, as at a prompt.
    file: Optional[str]
    #: The name by which it is run with ``python -m``; ``None`` for a script in no package.
    module: Optional[str]
    #: The folder from which that name is found.
    root: Optional[str]


def origin_of_caller(made: object) -> Origin:
    """The file whose code calls the constructor of ``made``."""
    frame = sys._getframe(1)
    # The constructor itself, and those of classes that are made from it.
    while frame.f_back is not None and frame.f_locals.get("self") is made:
        frame = frame.f_back
    names = frame.f_globals
    file, package = names.get("__file__"), names.get("__package__")
    if not isinstance(file, str):
        return Origin(None, None, None)
    file = os.path.abspath(file)
    if not isinstance(package, str) or not package:
        return Origin(file, None, None)
    stem = os.path.splitext(os.path.basename(file))[0]
    module = package if stem in ("__init__", "__main__") else f"{package}.{stem}"
    root = os.path.dirname(file)
    for _ in package.split("."):
        root = os.path.dirname(root)
    return Origin(file, module, root)


def test_of(
    name: str,
    origin: Origin,
    patterns: Sequence[str],
    *,
    config: Optional[Mapping[str, Any]],
    fakes: Optional[Mapping[str, Any]],
    with_modules: Sequence[str],
    settings: Optional[Mapping[str, Any]],
    manifest: Union[str, bool, None],
    command: Optional[Sequence[str]],
    start: bool,
    real_waits: bool,
    timeout: float,
) -> "TestHost":
    """A test host for the module of this name. See ``Module.test``."""
    from .testing import TestHost

    arguments: List[str] = []
    if config is not None:
        arguments.append(f"--config={json_text.write(dict(config))}")
    arguments += [f"--set={key}={_setting(value)}" for key, value in (settings or {}).items()]
    arguments += [f"--with={os.path.abspath(folder)}" for folder in with_modules]
    arguments += [] if start else ["--no-start"]
    arguments += ["--real-waits"] if real_waits else []
    folder = None if command is not None or manifest is False else _folder(name, origin, manifest)
    if folder is not None:
        arguments += ["--", folder] if folder.startswith("-") else [folder]
    else:
        words = list(command) if command is not None else _command(origin)
        path = os.pathsep.join(_python_path(origin))
        arguments += [f"--name={name}", f"--capability=event_subscribe={','.join(patterns)}", f"--set=env.PYTHONPATH={path}"]
        arguments += ["--", *words]
    # A manifest says `python3`, which is to be the Python that runs the test.
    python = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    hint = f"{origin.file} has to call `run()` of the module when it is started" if folder is None else ""
    return TestHost(arguments, environment=environment, fakes=fakes, timeout=timeout, hint=hint)


def _setting(value: Any) -> str:
    """A value as TOML has it, which for these is what JSON has."""
    return value if isinstance(value, str) else json_text.write(value)


def _folder(name: str, origin: Origin, manifest: Union[str, bool, None]) -> Optional[str]:
    if isinstance(manifest, str):
        path = os.path.abspath(manifest)
        return os.path.dirname(path) if os.path.basename(path) == "module.toml" else path
    if origin.file is None:
        return None
    folder = os.path.dirname(origin.file)
    try:
        with open(os.path.join(folder, "module.toml"), encoding="utf-8") as file:
            found = _NAME.search(file.read())
    except OSError:
        return None
    return folder if found is not None and found.group(1) == name else None


def _command(origin: Origin) -> List[str]:
    if origin.file is None:
        raise Error("the module was made by code in no file, which no process can run; give test(command=[…])")
    # What is printed is to be in the log at once.
    python = [sys.executable, "-u"]
    return [*python, origin.file] if origin.module is None else [*python, "-m", origin.module]


def _python_path(origin: Origin) -> List[str]:
    """Where the module finds what the test finds: this package, its own, and what the test was given."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    found: Dict[str, None] = dict.fromkeys([own, *([origin.root] if origin.root else []), *filter(None, given)])
    return list(found)
