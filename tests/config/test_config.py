"""One TOML and its conf.d to a Site; every mistake names its file, its key and what to do, all of them at once."""

import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import config, tables
from gateway.config import Site
from gateway.errors import ConfigBadValue, ConfigError, ConfigUnknownKey, ConfigUnreadable
from gateway.service.run import units

GOOD = """
[station]
ae_title = "ROOM1"
timezone = "Africa/Nairobi"

[paths]
data = "{data}"

[grabber.ROOM-1]
device = "/dev/video0"
profile = "ultrasound-hdmi"

[serial.DOSE]
device = "/dev/ttyUSB0"
instrument = "plain-line-dose"
station = "ROOM-1"

[destination.pacs]
host = "pacs.example"
called_ae = "PACS"
"""


@pytest.fixture
def box(tmp_path):
    """`box(text, "conf.d/10.toml"=..., ...)` writes the files of one box and returns its gateway.toml."""

    def write(text=GOOD, **files):
        (tmp_path / "etc").mkdir(exist_ok=True)
        for name, content in {"etc/gateway.toml": text, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace("{data}", str(tmp_path / "data")), encoding="utf-8")
        return tmp_path / "etc" / "gateway.toml"

    return write


# ---- where it comes from ----


def test_an_empty_file_is_a_good_configuration(box):
    assert config.load(box("")) == Site()


def test_later_files_have_their_way_table_by_table(box):
    file = box(
        **{
            "etc/conf.d/10-room.toml": '[station]\ninstitution_name = "Clinic"\nae_title = "TEN"',
            "etc/conf.d/20-room.toml": '[station]\nae_title = "TWENTY"',
            "data/conf.d/panel.toml": "[destination.pacs]\nport = 11113",
        }
    )
    site = config.load(file)
    assert (site.station.ae_title, site.station.institution_name, site.station.timezone) == (
        "TWENTY",
        "Clinic",
        "Africa/Nairobi",
    )
    assert (site.destination["pacs"].host, site.destination["pacs"].port) == ("pacs.example", 11113)


def test_the_file_is_the_one_given_then_the_environments_then_the_usual_one(box, monkeypatch, tmp_path):
    assert config.locate(tmp_path / "x.toml") == tmp_path / "x.toml"
    monkeypatch.setenv(config.VARIABLE, "/somewhere.toml")
    assert str(config.locate()) == "/somewhere.toml"
    monkeypatch.delenv(config.VARIABLE)
    assert str(config.locate()) == "/etc/gateway/gateway.toml"


# ---- mistakes ----


@pytest.mark.parametrize(
    ("more", "error", "key", "says"),
    [
        ("[statoin]\nx = 1", ConfigUnknownKey, "statoin", "Did you mean station?"),
        ("[destination.b]\nhost = 'b'\ncalled_ae = 'B'\nprot = 1", ConfigUnknownKey, "destination.b.prot", "Did you mean port?"),
        ("[listen]\nqqqqqqq = 1", ConfigUnknownKey, "listen.qqqqqqq", "Did you mean one of allow, host,"),
        ("[destination.b]\nhost = 'b'", ConfigBadValue, "destination.b.called_ae", "is missing: give it, in [destination.b]"),
        ("[panel]\nport = 70000", ConfigBadValue, "panel.port", "must be a whole number of at most 65535"),
        ("[panel]\nport = '80'", ConfigBadValue, "panel.port", "must be a whole number, not text"),
        ("[panel]\nport = true", ConfigBadValue, "panel.port", "must be a whole number, not true or false"),
        ("[panel]\nis_kiosk_enabled = 1", ConfigBadValue, "panel.is_kiosk_enabled", "must be true or false, not a whole number"),
        ("[spool]\nkeep_free_mb = 15", ConfigBadValue, "spool.keep_free_mb", "must be a whole number of at least 16"),
        ("[release]\nafter_s = -1.0", ConfigBadValue, "release.after_s", "must be a number of at least 0"),
        ("[clock]\ntrust = 'blind'", ConfigBadValue, "clock.trust", "does not know 'blind': it is one of \"plausible\", \"ntp\""),
        ("[worklist]\nhost = 'r'\ncalled_ae = ''", ConfigBadValue, "worklist.called_ae", "must be text of at least 1 character"),
        ("[worklist]\nhost = 'r'\ncalled_ae = 'A'\ncalling_ae = 'SEVENTEEN-LETTERS'", ConfigBadValue, "worklist.calling_ae", "at most 16 characters"),
        ("[worklist]\nhost = 'r'\ncalled_ae = 'A\\\\B'".replace("'", '"'), ConfigBadValue, "worklist.called_ae", "is no AE title"),
        ("[destination.b]\nhost = 'b'\ncalled_ae = 'B'\nmodalities = ['US', 3]", ConfigBadValue, "destination.b.modalities", "has an item 2 that must be text, not a whole number"),
        ("[destination]\nb = 'far'", ConfigBadValue, "destination.b", "must be a table: write [destination.b]"),
        ("spool = 7", ConfigBadValue, "spool", "must be a table: write [spool]"),
        ("[grabber.'a b']\ndevice = '/dev/video9'\nprofile = 'p'", ConfigBadValue, 'grabber."a b"', "is no good name"),
        ("[grabber.'../x']\ndevice = '/dev/video9'\nprofile = 'p'", ConfigBadValue, 'grabber."../x"', "is no good name"),
        ("[grabber.b]\ndevice = '/dev/video0'\nprofile = 'p'", ConfigBadValue, "grabber.b.device", "is the device of grabber.ROOM-1 too"),
        ("[grabber.b]\ndevice = ''\nprofile = 'p'", ConfigBadValue, "grabber.b.device", "is empty"),
        ("[grabber.b]\ndevice = '/dev/video9'\nprofile = 'p'\nring_s = 5\nretrospective_s = 6", ConfigBadValue, "grabber.b.retrospective_s", "6 is more than ring_s, 5"),
        ("[serial.b]\ndevice = '/dev/ttyS9'\ninstrument = 'i'\nstation = 'room1'", ConfigBadValue, "serial.b.station", 'names no grabber: "room1"; did you mean ROOM-1?'),
        ("[trigger.foot]\nkind = 'pedal'\ndevice = '/dev/p'\ngrabber = 'room1'", ConfigBadValue, "trigger.foot.grabber", 'names no grabber: "room1"; did you mean ROOM-1?'),
        ("[trigger.foot]\nkind = 'pedal'\ndevice = ''\ngrabber = 'ROOM-1'", ConfigBadValue, "trigger.foot.device", "is empty: name the device"),
        ("[trigger.foot]\nkind = 'switch'\ndevice = '/dev/ttyUSB0'\ngrabber = 'ROOM-1'", ConfigBadValue, "trigger.foot.device", "is the device of serial.DOSE too"),
        ("[trigger.a]\nkind = 'pedal'\ndevice = '/dev/p'\ngrabber = 'ROOM-1'\nkeys = ['B']\n[trigger.b]\nkind = 'pedal'\ndevice = '/dev/p'\ngrabber = 'ROOM-1'\nkeys = ['KEY_A', 'KEY_B']", ConfigBadValue, "trigger.b.keys", '"KEY_B" of that device belongs to trigger.a already'),
        ("[trigger.a]\nkind = 'pedal'\ndevice = '/dev/p'\ngrabber = 'ROOM-1'\n[trigger.b]\nkind = 'pedal'\ndevice = '/dev/p'\ngrabber = 'ROOM-1'", ConfigBadValue, "trigger.b.keys", "every key without a trigger of that device belongs to trigger.a already"),
        ("[grabber.ROOM-2]\ndevice = '/dev/video9'\nprofile = 'ultrasound-hdmi'\n[trigger.a]\nkind = 'pedal'\ndevice = '/dev/p'\ngrabber = 'ROOM-1'\nkeys = ['A']\nis_exclusive = false\n[trigger.b]\nkind = 'pedal'\ndevice = '/dev/p'\ngrabber = 'ROOM-2'\nkeys = ['B']", ConfigBadValue, "trigger.b.is_exclusive", "only one grabber"),
        ("[trigger.a]\nkind = 'hoof'\ndevice = '/dev/p'\ngrabber = 'ROOM-1'", ConfigBadValue, "trigger.a.kind", "pedal"),
        ("[panel]\nport = 11112", ConfigBadValue, "panel.port", "is the port of [listen] too"),
        ("[listen.allow.ct]\nae_title = 'CT'\naddress = '10.1.2'", ConfigBadValue, "listen.allow.ct.address", '"10.1.2" is no IP address'),
    ],
)  # fmt: skip
def test_a_mistake_names_its_file_its_key_and_what_to_do(box, more, error, key, says):
    file = box(**{"etc/conf.d/50-more.toml": more})
    found = config.problems(file)
    assert [(type(each), each.facts["key"]) for each in found] == [(error, key)]
    assert says in str(found[0])
    assert "50-more.toml" in str(found[0])  # one conf.d file of two: the one that said it
    assert found[0].hint
    with pytest.raises(error):
        config.load(file)


def test_a_time_zone_that_is_none_is_told_with_the_nearest(box):
    (found,) = config.problems(box('[station]\ntimezone = "Africa/Nairoby"'))
    assert str(found).endswith(
        'station.timezone "Africa/Nairoby" is no time zone of the IANA; did you mean "Africa/Nairobi"?.'
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[station]\nae_title = "A', "Unterminated string (at line 2, the last)"),
        ("[station\n", "line 1"),
        ("a = 1\na = 2", "line 2"),
    ],
)
def test_what_is_not_toml_is_told_with_line_and_column(box, content, says):
    (found,) = config.problems(box(**{"etc/conf.d/50.toml": content}))
    assert type(found) is ConfigUnreadable
    assert says in str(found)
    assert "50.toml" in str(found)


def test_what_is_not_utf8_is_told_with_its_line(box):
    file = box()
    file.write_bytes(b'[station]\ninstitution_name = "H\xf4pital"\n')
    assert "line 2 is not UTF-8" in str(config.problems(file)[0])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no file .*nothing\.toml"):
        config.load(tmp_path / "nothing.toml")


def test_all_mistakes_of_all_files_are_found_at_once(box):
    file = box(
        GOOD.replace('host = "pacs.example"', "host = 7"),
        **{"etc/conf.d/10.toml": "[station", "etc/conf.d/20.toml": "[panel]\nport = 0\ncolour = 1\n[listne]\nport = 5"},
    )
    found = config.problems(file)
    assert sorted(each.facts.get("key", "") for each in found) == [
        "",
        "destination.pacs.host",
        "listne",
        "panel.colour",
        "panel.port",
    ]


# ---- what the panel saves ----


def test_what_is_saved_counts_at_the_next_load_and_is_whole_or_not_there(box, tmp_path):
    file = box()
    site = config.load(file)
    path = config.write_override(site, "panel-ROOM-1", {"grabber": {"ROOM-1": {"profile": "ultrasound-analogue"}}})
    assert path == tmp_path / "data" / "conf.d" / "panel-ROOM-1.toml"
    assert config.load(file).grabber["ROOM-1"].profile == "ultrasound-analogue"
    assert config.load(file).grabber["ROOM-1"].device == "/dev/video0"
    assert not list(path.parent.glob(".*"))


def test_what_was_saved_is_seen_before_the_next_load_and_can_be_taken_back(box):
    site = config.load(box())
    line = {"device": "/dev/gateway/serial-ttyS0", "instrument": "nidek-lm"}
    config.write_override(site, "panel-serial-LENS", {"serial": {"LENS": line}})
    assert config.saved(site).serial["LENS"].device == "/dev/gateway/serial-ttyS0"
    config.remove_override(site, "panel-serial-LENS")
    assert "LENS" not in config.saved(site).serial


def test_a_port_that_is_switched_off_has_no_service_and_its_device_is_free(box):
    site = config.load(box())
    line = {"device": "/dev/gateway/serial-ttyS0", "instrument": "nidek-lm"}
    config.write_override(site, "a", {"serial": {"OLD": line | {"is_enabled": False}}})
    config.write_override(config.saved(site), "b", {"serial": {"NEW": line}})
    services = units(config.saved(site))
    assert "serial@NEW" in services
    assert "serial@OLD" not in services


def test_what_would_not_give_a_good_site_is_not_saved(box, tmp_path):
    site = config.load(box())
    with pytest.raises(ConfigBadValue, match=r"bad\.toml: grabber\.ROOM-1\.ring_s must be a number, not text"):
        config.write_override(site, "bad", {"grabber": {"ROOM-1": {"ring_s": "long"}}})
    with pytest.raises(ConfigUnknownKey):
        config.write_override(site, "bad", {"grabber": {"ROOM-1": {"colour": "red"}}})
    with pytest.raises(ConfigError):
        config.write_override(site, "../../etc/passwd", {})
    assert not (tmp_path / "data" / "conf.d").exists()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'[grabber.ROOM-1]\nprofile = "ultra',
        b"\xff\xff\xff",
        b"[grabber.ROOM-1]\nprofile = 7",
        b"[grabber.ROOM-1]\nprofle = 'x'",
        b"[grabber.ROOM-9]\nprofile = 'x'",
    ],
)
def test_a_damaged_file_of_the_panel_never_keeps_an_exam_from_starting(box, damage):
    """The last good copy counts, and the mistake is told; an empty file is no mistake, it just says nothing."""
    file = box()
    path = config.write_override(
        config.load(file), "panel", {"grabber": {"ROOM-1": {"profile": "ultrasound-analogue"}}}
    )
    path.write_bytes(damage)
    site = config.load(file)
    assert site.grabber["ROOM-1"].profile == ("ultrasound-analogue" if damage else "ultrasound-hdmi")
    told = config.problems(file)
    assert [path.name in str(each) for each in told] == [True] * bool(damage)
    assert [str(each) for each in config.left_out(site)] == [str(each) for each in told]


def test_a_damaged_file_and_a_damaged_copy_leave_the_installers_values(box):
    file = box()
    path = config.write_override(
        config.load(file), "panel", {"grabber": {"ROOM-1": {"profile": "ultrasound-analogue"}}}
    )
    path.write_bytes(b"\x00")
    path.with_suffix(".last").write_bytes(b"\x00")
    assert config.load(file).grabber["ROOM-1"].profile == "ultrasound-hdmi"
    assert len(config.problems(file)) == 1


def test_a_file_for_a_grabber_that_was_renamed_is_left_out(box):
    file = box()
    config.write_override(config.load(file), "panel", {"grabber": {"ROOM-1": {"profile": "ultrasound-analogue"}}})
    renamed = box(GOOD.replace("ROOM-1", "ROOM-2"))
    assert set(config.load(renamed).grabber) == {"ROOM-2"}
    assert "grabber.ROOM-1.device is missing" in str(config.problems(renamed)[0])


def test_the_installers_mistake_still_stops_the_box(box):
    with pytest.raises(ConfigUnknownKey):
        config.load(box(GOOD + "colour = 1"))


# ---- what this site changed, and the writer ----


def test_changes_are_what_this_site_set_and_give_the_same_site_again(box):
    site = config.load(box())
    changed = config.changes(site)
    assert changed["station"] == {"ae_title": "ROOM1", "timezone": "Africa/Nairobi"}
    assert "panel" not in changed
    again = tomllib.loads(config.toml(changed))
    assert config.load(box(config.toml(again))) == site


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.one_of(TEXT, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.lists(TEXT))
TABLES = st.recursive(
    st.dictionaries(TEXT, VALUES, max_size=4),
    lambda inner: st.dictionaries(TEXT, st.one_of(VALUES, inner), max_size=4),
    max_leaves=8,
)


@given(TABLES)
def test_whatever_is_written_is_read_back_the_same(table):
    assert tomllib.loads(tables.written(table)) == table


@given(TABLES, TABLES)
def test_a_difference_laid_over_gives_the_whole_again(under, over):
    whole = tables.merged(under, over)
    assert tables.merged(under, tables.difference(whole, under)) == whole


@given(st.dictionaries(st.sampled_from([*Site.__struct_fields__, "colour"]), st.one_of(VALUES, TABLES), max_size=4))
def test_mistakes_are_found_exactly_when_the_struct_cannot_be_made(table):
    found = list(tables.mistakes(table, Site))
    named = all(
        tables.NAME.fullmatch(name) for key in ("grabber", "serial", "destination") for name in _names(table.get(key))
    )
    try:
        msgspec.convert(table, Site)
    except msgspec.ValidationError:
        assert found
    else:
        assert (found == []) is named


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_named_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    try:
        told = isinstance(tables.read(path), dict)
    except ConfigError as error:
        told = str(path) in str(error)
    assert told


def _names(value):
    return value if isinstance(value, dict) else ()
