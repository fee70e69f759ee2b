"""Entities in the host's data store, Layer 1, as a handler uses them. The words are those of the payloads that
PROTOCOL.md describes; nothing is checked here, since the host's answer names the place that is wrong."""

import dataclasses
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

from .error import Error


@dataclasses.dataclass(frozen=True)
class Entity:
    """One entity."""

    #: Its id, a UUID.
    id: str
    #: Its type.
    entity: str
    #: How often it was changed, its creation counted.
    version: int
    #: When it was created, like ``2026-03-01T12:00:00.000000Z``.
    created_at: str
    #: When it was changed last.
    updated_at: str
    #: What it holds. A number that a float would change is a ``NumberText``.
    data: Dict[str, Any]
    #: What the query included, by its name.
    included: Dict[str, List["Entity"]] = dataclasses.field(default_factory=dict)
    #: The names of what the query included only a part of.
    more: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of entities."""

    #: The entities.
    entities: List[Entity]
    #: The ``after`` of the next page; ``None`` where there is nothing more.
    next: Optional[str]
    #: How many there are in all, where the query asked.
    count: Optional[int]


@dataclasses.dataclass(frozen=True)
class Changed:
    """What a change came to."""

    #: The id of the entity.
    id: str
    #: Its version, which counts its changes from 1. That of a deleted one is one more than its last.
    version: int


class Entities:
    """The part of ``Context`` that is for entities.

    What a handler changes becomes visible to others together with its success, and is undone where it fails; the
    handler sees its own changes at once. The manifest grants ``entity_read``, ``entity_create``, ``entity_write``
    and ``entity_delete``.
    """

    def query(self, payload: Any, *, to: Optional[str] = None, timeout: Optional[float] = None) -> Any:
        """See ``Context.query``."""
        raise NotImplementedError

    def mutate(self, payload: Any, *, to: Optional[str] = None, timeout: Optional[float] = None) -> Any:
        """See ``Context.mutate``."""
        raise NotImplementedError

    def entity(self, entity: str, id: str) -> Entity:
        """The entity of this type with this id. Raises ``Error`` with ``not_found`` where there is none."""
        found = _page(self.query({"entity": entity, "id": id})).entities
        if not found:
            raise Error(f"there is no {entity} {id}", code="not_found")
        return found[0]

    def entity_if_any(self, entity: str, id: str) -> Optional[Entity]:
        """The entity of this type with this id, or ``None``."""
        try:
            return self.entity(entity, id)
        except Error as error:
            if error.code == "not_found":
                return None
            raise

    def find(
        self,
        entity: str,
        filters: Optional[Dict[str, Any]] = None,
        *,
        search: Optional[str] = None,
        order: Union[str, Sequence[Any], None] = None,
        limit: Optional[int] = None,
        after: Optional[str] = None,
        count: bool = False,
        include: Optional[Sequence[Dict[str, Any]]] = None,
    ) -> Page:
        """One page of the entities for which all filters hold: ``{"author.name": "Ada", "year": {"gte": 1843}}``."""
        payload: Dict[str, Any] = {"entity": entity}
        asked = {"filters": filters, "search": search, "order": order, "limit": limit, "after": after}
        payload.update((name, value) for name, value in asked.items() if value is not None)
        if count:
            payload["count"] = True
        if include is not None:
            payload["include"] = include
        return _page(self.query(payload))

    def entities(self, entity: str, filters: Optional[Dict[str, Any]] = None, **asked: Any) -> Iterator[Entity]:
        """All entities for which all filters hold, page by page. It takes what ``find`` takes."""
        while True:
            page = self.find(entity, filters, **asked)
            yield from page.entities
            if page.next is None:
                return
            asked["after"] = page.next

    def count(self, entity: str, filters: Optional[Dict[str, Any]] = None) -> int:
        """For how many entities all filters hold."""
        found = self.find(entity, filters, limit=0, count=True).count
        if found is None:
            raise Error("expected a count in the host's answer, found none")
        return found

    def create(self, entity: str, data: Any, *, id: Optional[str] = None) -> Changed:
        """Creates an entity that holds ``data``; with an id of the module's own, one that is there is a ``conflict``."""
        payload = {"entity": entity, "operation": "create", "data": data}
        return _changed(self.mutate(payload if id is None else {**payload, "id": id}))

    def update(self, entity: str, id: str, patch: Any, *, expected_version: Optional[int] = None) -> Changed:
        """Changes what an entity holds by a merge patch (RFC 7396): what it does not name stays, ``None`` removes."""
        payload = {"entity": entity, "operation": "update", "id": id, "data": patch}
        return _changed(self.mutate(_expecting(payload, expected_version)))

    def delete(self, entity: str, id: str, *, expected_version: Optional[int] = None) -> Changed:
        """Deletes an entity."""
        payload = {"entity": entity, "operation": "delete", "id": id}
        return _changed(self.mutate(_expecting(payload, expected_version)))


def _expecting(payload: Dict[str, Any], version: Optional[int]) -> Dict[str, Any]:
    return payload if version is None else {**payload, "expected_version": version}


def _page(answer: Any) -> Page:
    try:
        found = [_entity(entity) for entity in answer["entities"]]
        return Page(found, answer.get("next"), answer.get("count"))
    except (AttributeError, KeyError, TypeError) as error:
        raise _another_form(error) from None


def _entity(found: Dict[str, Any]) -> Entity:
    included = found.get("included") or {}
    return Entity(
        id=found["id"],
        entity=found["entity"],
        version=found["version"],
        created_at=found["created_at"],
        updated_at=found["updated_at"],
        data=found["data"],
        included={name: [_entity(entity) for entity in entities] for name, entities in included.items()},
        more=tuple(found.get("more") or ()),
    )


def _changed(answer: Any) -> Changed:
    try:
        return Changed(answer["id"], answer["version"])
    except (KeyError, TypeError) as error:
        raise _another_form(error) from None


def _another_form(error: Exception) -> Error:
    return Error(f"the host's answer has another form: {error!r}")
