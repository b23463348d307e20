from gateway.model import Detection, InstrumentStatus, Signal, StationStatus, WholePicture
from gateway.spool import live

STATUS = StationStatus(station="us", signal=Signal.STREAMING, boot_id="b", updated_ns=7, picture="PAL")


def test_what_was_published_is_read_and_replaced(tmp_path):
    assert live.read_status(tmp_path, "us") is None
    live.write_status(tmp_path, STATUS)
    assert live.read_status(tmp_path, "us") == STATUS
    assert live.read_preview(tmp_path, "us") is None
    live.write_preview(tmp_path, "us", b"first")
    _, version = live.read_preview(tmp_path, "us")
    live.write_preview(tmp_path, "us", b"second")
    data, later = live.read_preview(tmp_path, "us")
    assert data == b"second"
    assert later >= version
    assert sorted(path.name for path in (tmp_path / "preview").iterdir()) == ["us.jpg"], "no half-written file is left"


def test_a_picture_is_wanted_while_somebody_looks(tmp_path):
    assert not live.is_wanted(tmp_path, "us")
    live.want(tmp_path, "us")
    assert live.is_wanted(tmp_path, "us")
    assert not live.is_wanted(tmp_path, "us", within_s=0)
    assert not live.is_wanted(tmp_path, "other")


def test_the_whole_picture_is_wanted_and_published_apart(tmp_path):
    live.want(tmp_path, "us", live.WHOLE)
    assert live.is_wanted(tmp_path, "us", live.WHOLE)
    assert not live.is_wanted(tmp_path, "us")
    assert live.read_whole(tmp_path, "us") is None
    facts = WholePicture(width_px=720, height_px=576, pixel_aspect=(54, 59), proposal=(8, 0, 704, 576))
    live.write_whole(tmp_path, "us", b"picture", facts)
    data, _version, said = live.read_whole(tmp_path, "us")
    assert (data, said) == (b"picture", facts)
    assert live.read_preview(tmp_path, "us") is None


def test_a_stations_name_stays_in_its_folder(tmp_path):
    live.write_preview(tmp_path / "run", "../../x", b"picture")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "run" / "preview" / "_.._x.jpg"]
    assert live.read_preview(tmp_path / "run", "../../x")[0] == b"picture"


def test_what_a_port_says_is_read_and_replaced(tmp_path):
    status = InstrumentStatus(port="NT", instrument="Tonometer", boot_id="b", updated_ns=7, is_open=True)
    assert live.read_instrument(tmp_path, "NT") is None
    live.write_instrument(tmp_path, status)
    assert live.read_instrument(tmp_path, "NT") == status
    live.want(tmp_path, "NT", live.INSTRUMENT)
    assert live.is_wanted(tmp_path, "NT", live.INSTRUMENT)
    assert not live.is_wanted(tmp_path, "NT")


def test_a_detection_is_taken_up_once_and_forgets_what_the_last_one_found(tmp_path):
    assert not live.take_detection(tmp_path, "NT")
    live.write_detection(tmp_path, Detection(port="NT", is_over=True, received_bytes=9))
    assert live.read_detection(tmp_path, "NT").received_bytes == 9
    live.ask_detection(tmp_path, "NT")
    assert live.read_detection(tmp_path, "NT") is None
    assert live.is_detection_asked(tmp_path, "NT")
    assert [live.take_detection(tmp_path, "NT") for _ in range(2)] == [True, False]
    assert not live.is_detection_asked(tmp_path, "NT")


def test_the_serial_devices_of_the_box_are_published(tmp_path):
    assert live.read_lines(tmp_path) == ()
    live.write_lines(tmp_path, ["/dev/serial/by-path/a", "/dev/serial/by-path/b"])
    assert live.read_lines(tmp_path) == ("/dev/serial/by-path/a", "/dev/serial/by-path/b")
