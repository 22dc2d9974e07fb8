"""The packet: every promise is kept or the packet does not exist."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from fieldcast.ground import InvalidInput, Reason
from fieldcast.projection import (
    HorizonProjection,
    ProjectionPacket,
    load_packet,
    missing_packet,
    packet_json_schema,
)
from fieldcast.projection import packet as packet_module

FIXTURE = Path(__file__).with_name("packet_1_0.json")


@pytest.fixture
def sound(packets: ModuleType) -> dict[str, Any]:
    return copy.deepcopy(packets.packet_fields())


def test_a_packet_survives_json(sound: dict[str, Any]) -> None:
    packet = ProjectionPacket.model_validate(sound)
    again = load_packet(packet.model_dump_json())
    assert again == packet
    assert again.digest == packet.digest
    assert load_packet(packet.canonical).digest == packet.digest


def test_the_fixture_is_read_as_it_was_written(sound: dict[str, Any]) -> None:
    packet = load_packet(FIXTURE.read_bytes())
    assert packet == ProjectionPacket.model_validate(sound)
    assert packet.digest == json.loads(FIXTURE.with_name("packet_1_0.digest.json").read_text())["digest"]


def test_the_committed_schema_is_the_packets_own() -> None:
    assert json.loads(packet_module.SCHEMA_FILE.read_text()) == packet_json_schema()


def test_digest_depends_on_values_and_not_on_how_times_are_written(sound: dict[str, Any]) -> None:
    from zoneinfo import ZoneInfo

    one = ProjectionPacket.model_validate(sound)
    sound["as_of"] = sound["as_of"].astimezone(ZoneInfo("America/New_York"))
    assert ProjectionPacket.model_validate(sound).digest == one.digest
    sound["horizons"][0]["mean_bps"] += 1e-3
    assert ProjectionPacket.model_validate(sound).digest != one.digest


def test_a_missing_horizon_says_why_and_nothing_else(packets: ModuleType) -> None:
    horizon = HorizonProjection.missing("1d", Reason.SHORT_HISTORY)
    assert not horizon.known
    assert horizon.quantiles_bps is None
    assert horizon.direction is None
    with pytest.raises(InvalidInput, match="short_history"):
        horizon.band(0.75)
    with pytest.raises(ValidationError, match="reason"):
        HorizonProjection.model_validate({"horizon": "1d", "status": "missing"})
    for name, value in packets.horizon_fields().items():
        if name in {"horizon", "status", "entry_ts", "target_ts", "valid_until"}:
            continue
        with pytest.raises(ValidationError, match="no figures"):
            HorizonProjection.model_validate(
                {"horizon": "1d", "status": "missing", "reason": "no_data", name: value}
                | ({"quantiles_bps": packets.horizon_fields()["quantiles_bps"]} if name == "levels" else {})
            )


def test_every_figure_of_an_ok_horizon_is_required(packets: ModuleType) -> None:
    fields = packets.horizon_fields()
    optional = {"events", "coverage"}
    for name in fields:
        without = {key: value for key, value in fields.items() if key != name}
        if name in optional:
            assert HorizonProjection.model_validate(without).known
        else:
            with pytest.raises(ValidationError, match=r"(missing|required)"):
                HorizonProjection.model_validate(without)


def test_bands_are_found_by_their_share(packets: ModuleType) -> None:
    fields = packets.horizon_fields()
    horizon = HorizonProjection.model_validate(fields)
    q = fields["quantiles_bps"]
    assert horizon.band(0.5) == (q[2], q[4])
    assert horizon.band(0.75) == (q[1], q[5])
    assert horizon.band(0.9) == (q[0], q[6])
    with pytest.raises(InvalidInput, match=r"0\.8"):
        horizon.band(0.8)


def test_horizons_are_found_by_name(sound: dict[str, Any]) -> None:
    packet = ProjectionPacket.model_validate(sound)
    assert packet.horizon("5d").horizon == "5d"
    with pytest.raises(InvalidInput, match="1d, 5d, 1m"):
        packet.horizon("2d")


def test_odds_far_from_the_cone_need_the_warning(packets: ModuleType) -> None:
    fields = packets.horizon_fields()
    fields["direction"] = {"up": 0.7, "flat": 0.1, "down": 0.2}
    with pytest.raises(ValidationError, match="odds_cone_disagree"):
        HorizonProjection.model_validate(fields)
    fields["warnings"] = ("odds_cone_disagree",)
    assert HorizonProjection.model_validate(fields).known


def test_further_levels_are_welcome(packets: ModuleType) -> None:
    fields = packets.horizon_fields()
    q = fields["quantiles_bps"]
    fields["levels"] = (0.01, *fields["levels"], 0.99)
    fields["quantiles_bps"] = (q[0] * 1.5, *q, q[6] * 1.5)
    assert HorizonProjection.model_validate(fields).band(0.75) == (q[1], q[5])


def test_packets_do_not_change(sound: dict[str, Any]) -> None:
    packet = ProjectionPacket.model_validate(sound)
    with pytest.raises(ValidationError, match="frozen"):
        packet.instrument = "XNAS:OTHER"  # type: ignore[misc]


def test_an_older_version_comes_up_through_its_migration(
    sound: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    packet = ProjectionPacket.model_validate(sound)
    old = json.loads(packet.model_dump_json())
    old["schema_version"] = "0.9"
    old["ticker"] = old.pop("instrument")
    with pytest.raises(InvalidInput, match=r"found 0\.9"):
        load_packet(json.dumps(old))

    def rename(body: dict[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in body.items() if key != "ticker"}
        return rest | {"instrument": body["ticker"], "schema_version": "1.0"}

    monkeypatch.setitem(packet_module.MIGRATIONS, "0.9", rename)
    assert load_packet(json.dumps(old)) == packet
    monkeypatch.setitem(packet_module.MIGRATIONS, "0.9", lambda body: body)
    with pytest.raises(InvalidInput, match=r"found 0\.9"):
        load_packet(json.dumps(old))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": "7.0"}', '{"schema_version": "1.0"}'])
def test_what_is_no_packet_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        load_packet(text)


def test_nan_cannot_come_in_through_json(sound: dict[str, Any]) -> None:
    text = ProjectionPacket.model_validate(sound).model_dump_json().replace('"mean_bps":', '"mean_bps":NaN,"x":', 1)
    with pytest.raises(InvalidInput):
        load_packet(text)


def test_a_packet_about_nothing_is_sound_too(packets: ModuleType) -> None:
    provenance = ProjectionPacket.model_validate(packets.packet_fields()).provenance
    packet = missing_packet(
        "XNAS:COMP", packets.AS_OF, Reason.STALE, horizons=("1d", "5d"), provenance=provenance
    )
    assert [horizon.reason for horizon in packet.horizons] == [Reason.STALE] * 2
    assert load_packet(packet.canonical) == packet
    made_up = provenance.model_copy(update={"simulated": True})
    assert missing_packet(
        "XSIM:A", packets.AS_OF, Reason.STALE, horizons=("1d",), provenance=made_up
    ).warnings == (Reason.SIMULATED,)


def test_times_may_stand_in_any_zone_but_must_have_one(sound: dict[str, Any]) -> None:
    sound["as_of"] = sound["as_of"].replace(tzinfo=None)
    with pytest.raises(ValidationError, match="timezone"):
        ProjectionPacket.model_validate(sound)


def test_a_missing_horizon_may_keep_its_times(packets: ModuleType) -> None:
    times = {name: packets.AS_OF + timedelta(days=1) * k for k, name in enumerate(("entry_ts", "target_ts"), 1)}
    assert HorizonProjection.missing("1d", Reason.STALE, **times).entry_ts == times["entry_ts"]
