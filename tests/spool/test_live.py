from gateway.model import Signal, StationStatus, WholePicture
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
