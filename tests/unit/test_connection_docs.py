"""docs/connection.md says what the code does."""

import re
from pathlib import Path

from shared.core import connection
from shared.core.classify import Failure
from shared.core.codes import CODES, Code, ErrorClass, Wake
from shared.core.connection import Instant, LinkState, Memory, Policy
from tests.unit.test_connection import at

PAGE = (Path(__file__).parents[2] / "docs" / "connection.md").read_text(encoding="utf-8")


def table(first_column: str) -> list[list[str]]:
    """The cells of the table whose header begins with `first_column`."""
    lines = PAGE.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def test_the_table_of_codes_is_the_code():
    told = table("code")
    assert told == [[str(code), str(f.error_class), str(f.wake), f.summary, f.hint] for code, f in CODES.items()]


def test_every_code_is_in_the_table():
    assert set(CODES) == set(Code)


def test_every_class_and_every_look_is_explained():
    assert [row[0] for row in table("class")] == [str(one) for one in ErrorClass]
    assert {row[0] for row in table("look")} == {str(one) for one in Wake}


def reachable() -> dict[tuple[LinkState, LinkState], Memory]:
    """Every change of state there is, found by trying everything everywhere."""
    policy, found, seen = Policy(startup_attempts=2), {}, set()
    todo = [Memory()]
    failures = [Failure(code) for code in (Code.CONNECTION_REFUSED, Code.WRONGPASS)]
    while todo:
        memory = todo.pop()
        code = memory.failure.code if memory.failure else None
        key = (memory.state, memory.ever_connected, min(memory.attempt, 4), code)
        if key in seen:
            continue
        seen.add(key)
        for step in steps(policy, memory, at(0), failures):
            if step.change:
                found[step.change.previous, step.change.current] = step.memory
            todo.append(step.memory)
    return found


def steps(policy: Policy, memory: Memory, now: Instant, failures: list[Failure]) -> list[connection.Step]:
    if memory.state is LinkState.DISCONNECTED:
        return [connection.start(memory, now)]
    if memory.state is LinkState.CONNECTED:
        lost = [connection.lost(policy, memory, now, failure=failure) for failure in failures]
        return [connection.close(memory, now), *lost, connection.beaten(policy, memory, now, amiss=None)]
    tried = [connection.attempt_failed(policy, memory, now, failure=failure) for failure in failures]
    extra = [connection.extra_attempt_failed(policy, memory, now, failure=failure) for failure in failures]
    return [connection.close(memory, now), connection.attempt_succeeded(policy, memory, now), *tried, *extra]


def drawn() -> set[tuple[str, str]]:
    """The changes of state that the diagram shows."""
    return set(re.findall(r"^    (\w+) --> (\w+)", PAGE, re.MULTILINE))


def test_the_diagram_has_every_change_of_state_and_no_other():
    assert drawn() == {(str(before), str(after)) for before, after in reachable()}


def test_the_table_of_states_is_the_code():
    told = table("state")
    assert [row[0] for row in told] == [str(state) for state in LinkState]
    by_state = {memory.state: memory for memory in reachable().values()}
    for name, is_open, scheduled, _ in told:
        memory = by_state[LinkState(name)]
        assert (memory.connected_at_s is not None) is (is_open == "yes")
        assert (memory.next_attempt_at_s is not None) is (scheduled == "yes")


def test_the_reasons_that_are_no_failure_are_named():
    for reason in (connection.STARTED, connection.CONNECTED, Code.CLOSED):
        assert f"`{reason}`" in PAGE
