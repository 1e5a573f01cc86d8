"""A policy as it is written on a command line becomes a policy: `name`, `name:argument` or `package.module:ATTRIBUTE`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vlagym.envs import catalog
from vlagym.envs.errors import BadData, VlagymError, unknown_name
from vlagym.policies.base import Policy, PolicySpec
from vlagym.policies.raised import told


def load_policy(text: str, options: Mapping[str, str] | None = None) -> Policy:
    """Returns the policy that the text names.

    Args:
      text: `name` (a file of policies/adapters), `name:argument`, or `package.module:ATTRIBUTE` of anyone's, to which an argument may be
        appended after a further colon. The attribute is a factory like `POLICY` of our own adapters.
      options: What `--policy-option key=value` said; the policy refuses keys that it does not know.

    Raises:
      UnknownName: If there is no such policy, module or attribute.
      BadData: If the thing of that name builds no policy, or, where it is an outsider's, raises; the message says in which line of which file.
    """
    name, argument = split(text)
    factory = catalog.load("policy", name)
    if not callable(factory):
        raise BadData(f"{name} is {type(factory).__name__}, which builds no policy: it must be callable as factory(argument, options) -> Policy")
    policy = _built(name, factory, argument, dict(options or {}))
    missing = [m for m in ("spec", "reset", "act", "close") if not hasattr(policy, m)]
    if missing:
        raise BadData(f"{name} built {type(policy).__name__}, which is no policy: it lacks {', '.join(missing)} (see vlagym.policies.base.Policy)")
    if not isinstance(policy.spec, PolicySpec):
        raise BadData(f"the spec of {name} is {type(policy.spec).__name__}; it must be a vlagym.policies.base.PolicySpec")
    result: Policy = policy
    return result


def _built(name: str, factory: Callable[..., Any], argument: str | None, options: dict[str, str]) -> Any:
    """Returns what a factory makes. What one of ours raises is a bug and keeps its traceback; what an outsider's raises is for them to mend."""
    if ":" not in name:
        return factory(argument, options)
    try:
        return factory(argument, options)
    except VlagymError:
        raise
    except Exception as error:
        raise BadData(f"{name} builds no policy: {told(error, factory)}") from error


def split(text: str) -> tuple[str, str | None]:
    """Returns the name that the catalogue knows and the argument: ("minivla", "DIR"), ("package.module:ATTRIBUTE", None)."""
    head, _, rest = text.partition(":")
    if head in catalog.names("policy") or not rest:
        return head, rest or None
    attribute, _, argument = rest.partition(":")
    return f"{head}:{attribute}", argument or None


def parse_options(pairs: Sequence[str]) -> dict[str, str]:
    """Reads `key=value` words.

    Raises:
      BadData: If one has no equals sign, an empty key, or a key that was said before.
    """
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadData(f"a policy option is written key=value, not {pair!r}")
        if key in options:
            raise BadData(f"the policy option {key!r} was given twice: {options[key]!r} and {value!r}")
        options[key] = value
    return options


def refuse_options(policy: str, options: Mapping[str, str], known: Sequence[str] = ()) -> None:
    """Raises UnknownName if there is an option that the policy does not know; for use in a policy's factory."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise unknown_name(f"option of policy {policy!r}", unknown[0], known)


def refuse_argument(policy: str, argument: str | None) -> None:
    """Raises BadData if something follows the colon of a policy that takes no argument; for use in a policy's factory."""
    if argument is not None:
        raise BadData(f"policy {policy!r} takes no argument; {policy}:{argument} gives it one")
