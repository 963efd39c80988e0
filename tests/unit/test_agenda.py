"""What the store is asked about next: what was named first, and of a reload some each time."""

from __future__ import annotations

from tornado_shared_session.agenda import Agenda


def ids(start: int, stop: int) -> list[str]:
    """Return ids that are easily told apart."""
    return [f"id-{n}" for n in range(start, stop)]


def test_a_reload_is_asked_about_in_its_order_and_once() -> None:
    """In questions of 500."""
    agenda = Agenda()
    agenda.add_all(ids(0, 1700), renew=True)
    assert len(agenda) == 1700
    taken = [agenda.take() for _ in range(4)]
    assert [len(some) for some, _ in taken] == [500, 500, 500, 200]
    assert [id for some, _ in taken for id in some] == ids(0, 1700)
    assert {reason for _, reasons in taken for reason in reasons} == {""}
    assert not agenda
    assert agenda.take() == ([], [])


def test_what_is_named_in_the_middle_of_a_reload_does_not_wait_for_its_end() -> None:
    """It comes with the next question, for its own reason, and before the others (R12)."""
    agenda = Agenda()
    agenda.add_all(ids(0, 1700), renew=False)
    agenda.take()
    agenda.add("id-600", "logged_out")
    some, reasons = agenda.take()
    assert some == ["id-600", *ids(500, 999)]
    assert reasons == ["logged_out", *[""] * 499]


def test_a_flood_of_names_does_not_keep_the_reload_waiting() -> None:
    """Half of each question is its own."""
    agenda = Agenda()
    agenda.add_all(ids(0, 600), renew=False)
    for number in range(1000):
        agenda.add(f"named-{number}", "revoked")
    questions = [agenda.take()[0] for _ in range(4)]
    assert [sum(id.startswith("id-") for id in some) for some in questions] == [250, 250, 100, 0]
    assert [len(some) for some in questions] == [500, 500, 350, 250]


def test_of_several_reasons_the_one_that_says_most_counts() -> None:
    """A decision, else a deadline, else anything."""
    agenda = Agenda()
    for reason, counts in [
        ("rotated", "rotated"),
        ("expired", "expired"),
        ("rotated", "expired"),
        ("logged_out", "logged_out"),
        ("expired", "logged_out"),
    ]:
        agenda.add("one", reason)
        assert agenda.named("one") == counts
    assert agenda.take() == (["one"], ["logged_out"])
    assert agenda.named("one") is None


def test_what_was_named_while_there_was_no_answer_counts() -> None:
    """And the others are asked about again."""
    agenda = Agenda()
    agenda.add_all(ids(0, 3), renew=True)
    some, reasons = agenda.take()
    agenda.add("id-1", "revoked")
    agenda.put_back(some, reasons)
    assert sorted(agenda) == ids(0, 3)
    some, reasons = agenda.take()
    assert dict(zip(some, reasons, strict=True)) == {
        "id-0": "",
        "id-1": "revoked",
        "id-2": "",
    }
    assert agenda.renew == set(some)  # still to be kept alive


def test_a_gap_in_the_middle_of_a_reload_asks_anew_and_renews_still() -> None:
    """But one by itself renews nothing, nor does what is named."""
    agenda = Agenda()
    agenda.add_all(ids(0, 3), renew=False)
    agenda.add("id-1", "expired")
    agenda.take()
    assert agenda.renew == set()
    agenda.add_all(ids(0, 600), renew=True)
    agenda.take()
    agenda.add_all(ids(0, 600), renew=False)  # the channel was deaf meanwhile
    while agenda:
        agenda.take()
    assert agenda.renew == set(ids(0, 600))
    agenda.add_all(ids(0, 1), renew=True)
    assert agenda.renew == set()  # what nobody asked for since is not kept
