"""What words stand for: files by their contents, folders without labels and hidden files, streams without secrets."""

from __future__ import annotations

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from videos import scene, write_video

from oddroad.errors import InputError
from oddroad.io.kinds import kind_of
from oddroad.io.reading import ReadReport
from oddroad.io.redaction import redact, short_name
from oddroad.io.sources import Source, find_sources
from oddroad.io.video import read


def save(path: Path, image: np.ndarray) -> Path:
    """Write an RGB, grey or RGBA image as it is."""
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    pixels = cv2.cvtColor(image, order[image.shape[2]]) if image.ndim == 3 else image
    assert cv2.imwrite(str(path), pixels)
    return path


class TestSources:
    def test_a_folder_is_read_in_order_and_deep(self, tmp_path: Path, noise: np.ndarray) -> None:
        for name in ("b.png", "a.jpg", "deep/c.webp", "notes.txt"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("") if name.endswith("txt") else save(tmp_path / name, noise)
        assert [each.name for each in find_sources([str(tmp_path)])] == ["a.jpg", "b.png", "deep/c.webp"]

    def test_label_folders_are_left_out(self, tmp_path: Path, noise: np.ndarray) -> None:
        (tmp_path / "x.labels").mkdir()
        save(tmp_path / "x.png", noise)
        save(tmp_path / "x.labels" / "labels_semantic.png", noise)
        assert [each.name for each in find_sources([str(tmp_path)])] == ["x.png"]

    def test_a_glob(self, tmp_path: Path, noise: np.ndarray) -> None:
        for name in ("a1.png", "a2.png", "b.png"):
            save(tmp_path / name, noise)
        assert [each.name for each in find_sources([str(tmp_path / "a*.png")])] == ["a1.png", "a2.png"]

    def test_numbers_are_cameras_and_addresses_are_streams(self) -> None:
        found = find_sources(["0", "rtsp://localhost:1/live"])
        assert [(each.kind, each.moving) for each in found] == [("camera", True), ("stream", True)]

    def test_names_stay_unique(self, tmp_path: Path, noise: np.ndarray) -> None:
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            save(tmp_path / folder / "a.png", noise)
        names = [each.name for each in find_sources([str(tmp_path / "one"), str(tmp_path / "two")])]
        assert names == ["a.png", "2_a.png"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ([], "nothing to read"),
            (["missing.jpg"], "no such file or folder: 'missing.jpg'"),
            (["missing*.jpg"], "nothing matches 'missing"),
        ],
    )
    def test_what_is_not_there(self, given: list[str], message: str) -> None:
        with pytest.raises(InputError, match=message):
            find_sources(given)

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no image and no video"):
            find_sources([str(tmp_path)])

    def test_bad_images_are_counted_not_fatal(self, tmp_path: Path, noise: np.ndarray) -> None:
        save(tmp_path / "a.png", noise)
        (tmp_path / "b.png").write_bytes(b"nothing")
        report = ReadReport()
        assert [each.name for each in read(find_sources([str(tmp_path)]), report=report)] == ["a.png"]
        assert len(report.skipped) == 1
        assert report.named == []
        with pytest.raises(InputError):
            list(read(find_sources([str(tmp_path)])))

    def test_a_camera_that_is_not_there(self) -> None:
        with pytest.raises(InputError, match="no camera 63"):
            list(read(find_sources(["63"])))

    def test_a_hash_in_any_part_of_a_path(self, tmp_path: Path) -> None:
        (tmp_path / "a#1").mkdir()
        image = save(tmp_path / "a#1" / "b#2 %03d[x].png", scene(0))
        video = write_video(tmp_path / "a#1" / "c#3.mp4", [scene(0), scene(1)])
        for given in (image, video, tmp_path / "a#1"):
            assert next(read(find_sources([str(given)]))).name in ("b#2 %03d[x].png", "c#3.mp4#0")

    def test_same_stems_stay_apart(self, tmp_path: Path) -> None:
        for name, codec in (("clip.mp4", "libx264"), ("clip.avi", "mpeg4"), ("clip.mov", "libx264")):
            write_video(tmp_path / name, [scene(0)], codec)
        assert [each.name for each in find_sources([str(tmp_path)])] == ["clip.avi", "clip.mov", "clip.mp4"]

    @pytest.mark.parametrize(
        ("photo", "label"),
        [
            ("leftImg8bit/test/a/x_leftImg8bit.png", "gtCoarse/test/a/x_gtCoarse_labelIds.png"),
            ("leftImg8bit/test/a/x_leftImg8bit.png", "gtFine/test/a/x_gtFine_color.png"),
            ("test/x.png", "testannot/x.png"),
            ("JPEGImages/x.png", "SegmentationClass/x.png"),
            ("test/cut/000.png", "ground_truth/cut/000_mask.png"),
            ("x.png", "x_labels.png"),
            ("x.png", "x_mask.png"),
            ("a/x.jpg", "a/x_GT.png"),
            ("x.png", "x_labelIds.png"),
            ("images/x.png", "labels_masks/x.png"),
            ("701_StillsRaw_full/0001TP_006690.png", "LabeledApproved_full/0001TP_006690_L.png"),
            ("training/image_2/x.png", "training/gt_image_2/x.png"),
        ],
    )
    def test_labels_of_official_layouts_are_left_out_and_counted(self, tmp_path: Path, photo: str, label: str) -> None:
        for name in (photo, label):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            save(tmp_path / name, scene(0))
        report = ReadReport()
        assert [each.name for each in find_sources([str(tmp_path)], report=report)] == [photo]
        assert report.notes == [f"'{tmp_path}': left out 1 of 2 files: 1 label"]
        assert find_sources([str(tmp_path / label)])[0].path == tmp_path / label  # named, it is read

    def test_a_photo_of_a_mask_is_a_photo(self, tmp_path: Path) -> None:
        for name in ("oxygen_mask.png", "a_l.png"):
            save(tmp_path / name, scene(0))
        assert len(find_sources([str(tmp_path)])) == 2

    def test_hidden_files_and_other_kinds_are_left_out_and_counted(self, tmp_path: Path) -> None:
        for name in ("a.png", "._a.png", ".cache/b.png", "__MACOSX/c.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            save(tmp_path / name, scene(0))
        (tmp_path / "notes.txt").write_text("notes")
        report = ReadReport()
        assert [each.name for each in find_sources([str(tmp_path)], report=report)] == ["a.png"]
        assert report.notes == [f"'{tmp_path}': left out 4 of 5 files: 3 hidden, 1 neither image nor video"]

    def test_a_folder_of_labels_alone_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "masks").mkdir()
        save(tmp_path / "masks" / "a.png", scene(0))
        with pytest.raises(InputError, match=r"holds no image and no video to read \(.*left out 1 of 1 file: 1 label"):
            find_sources([str(tmp_path)])
        assert len(find_sources([str(tmp_path / "masks")])) == 1

    def test_results_of_an_earlier_run_are_left_out(self, tmp_path: Path) -> None:
        for name in ("a.png", "overlay/a.jpg", "maps/b.png", "other/overlay/c.png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            save(tmp_path / name, scene(0))
        (tmp_path / "detections.jsonl").write_text("{}")
        report = ReadReport()
        found = [each.name for each in find_sources([str(tmp_path)], report=report)]
        assert found == ["a.png", "other/overlay/c.png"]
        assert "2 results of an earlier run" in report.notes[0]

    def test_labels_below_the_wildcard_of_a_glob_are_left_out(self, tmp_path: Path) -> None:
        for name in ("one/images/a.png", "one/masks/a.png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            save(tmp_path / name, scene(0))
        assert [each.place for each in find_sources([str(tmp_path / "one" / "**" / "*.png")])] == [
            str(tmp_path / "one" / "images" / "a.png")
        ]
        assert len(find_sources([str(tmp_path / "one" / "masks" / "*.png")])) == 1


class TestKinds:
    """What a file is comes from opening it."""

    @pytest.mark.parametrize("name", ["a.MTS", "a.m2ts", "a.unknown", "noending", "a.jpg", "a.txt"])
    def test_a_video_by_any_ending(self, tmp_path: Path, name: str) -> None:
        write_video(tmp_path / "x.ts", [scene(number) for number in range(6)]).rename(tmp_path / name)
        (source,) = find_sources([str(tmp_path / name)])
        assert (source.kind, len(list(read([source])))) == ("video", 6)

    @pytest.mark.parametrize("name", ["a.h264", "a.3gp", "a.flv", "a.mkv", "a.webm", "a.mov"])
    def test_formats_of_cameras(self, tmp_path: Path, name: str) -> None:
        codec, options = ("libvpx-vp9", {"deadline": "realtime"}) if "webm" in name else ("libx264", {})
        write_video(tmp_path / name, [scene(number) for number in range(6)], codec, options=options)
        found = list(read(find_sources([str(tmp_path)])))
        assert [each.index for each in found] == list(range(6))
        assert [each.time for each in found] == pytest.approx([number / 25 for number in range(6)], abs=0.002)

    def test_a_row_of_jpegs(self, tmp_path: Path) -> None:
        write_video(tmp_path / "a.mjpeg", [scene(number) for number in range(6)], "mjpeg", pixels="yuvj420p")
        assert [each.index for each in read(find_sources([str(tmp_path)]))] == list(range(6))

    def test_an_image_by_a_videos_ending(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", scene(0)).rename(tmp_path / "a.mp4")
        (found,) = read(find_sources([str(tmp_path / "a.mp4")]))
        assert (found.index, found.name) == (None, "a.mp4")

    @pytest.mark.parametrize("ending", [".gif", ".png"])
    def test_animated_pictures_are_videos(self, tmp_path: Path, ending: str) -> None:
        from PIL import Image

        first, *rest = [Image.fromarray(scene(number)) for number in range(4)]
        first.save(tmp_path / f"a{ending}", save_all=True, append_images=rest, duration=200)
        first.save(tmp_path / f"b{ending}")
        found = list(read(find_sources([str(tmp_path)])))
        assert [each.name for each in found] == [*(f"a{ending}#{number}" for number in range(4)), f"b{ending}"]
        assert [each.time for each in found[:4]] == pytest.approx([0, 0.2, 0.4, 0.6])

    def test_what_is_neither_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "a.bin").write_bytes(np.random.default_rng(0).bytes(5000))
        with pytest.raises(InputError, match="is not an image that can be read"):
            list(read(find_sources([str(tmp_path / "a.bin")])))


SECRET = "geheim77"


class TestRedaction:
    @pytest.mark.parametrize(
        ("address", "shown"),
        [
            (f"rtsp://admin:{SECRET}@10.0.0.5:554/live", "rtsp://admin:***@10.0.0.5:554/live"),
            (f"http://admin:{SECRET}@10.0.0.5/v.mjpg?channel=1", "http://admin:***@10.0.0.5/v.mjpg?channel=1"),
            (f"http://10.0.0.5/v?user=admin&pwd={SECRET}&channel=2", "http://10.0.0.5/v?user=***&pwd=***&channel=2"),
            (f"http://10.0.0.5/v?{SECRET}", "http://10.0.0.5/v?***"),
            ("http://10.0.0.5/v?geheim", "http://10.0.0.5/v?***"),
            (f"rtmp://live.example.org/{SECRET}", "rtmp://live.example.org/***"),
            (f"https://host/{SECRET}AbCdEf.eyJzdWIi.1{SECRET}/live.m3u8", "https://host/***/live.m3u8"),
            (f"https://host/v.m3u8?channel={SECRET * 3}", "https://host/v.m3u8?channel=***"),
            (f"rtmp://live.example.org/app/{SECRET}", "rtmp://live.example.org/app/***"),
            (f"rtmps://live.example.org/app/{SECRET}?a=1", "rtmps://live.example.org/app/***?a=***"),
            (f"srt://10.0.0.5:9000?passphrase={SECRET}&mode=caller", "srt://10.0.0.5:9000?passphrase=***&mode=caller"),
            (f"rtsp://10.0.0.5/user=admin_password={SECRET}_channel=1.sdp", "rtsp://10.0.0.5/user=***_password=***_channel=1.sdp"),
            (f"rtsp://admin:p@{SECRET}@10.0.0.5/live", "rtsp://admin:***@10.0.0.5/live"),
            (f"rtsp://admin:p/{SECRET}@10.0.0.5/live", "rtsp://admin:***@10.0.0.5/live"),
            (f"rtsp://admin:p#{SECRET}@10.0.0.5/live", "rtsp://admin:***@10.0.0.5/live"),
            (f"rtsp://admin:p?{SECRET}@10.0.0.5/live", "rtsp://admin:***@10.0.0.5/live"),
            (f"rtsps://10.0.0.5:7441/{SECRET}AbCdEf12", "rtsps://10.0.0.5:7441/***"),
            (f"http://10.0.0.5/v#{SECRET}", "http://10.0.0.5/v#***"),
            (f"RTSP://admin:{SECRET}@10.0.0.5/live", "RTSP://admin:***@10.0.0.5/live"),
            ("rtsp://[fe80::1]:554/live", "rtsp://[fe80::1]:554/live"),
            ("clip@home:1.mp4", "clip@home:1.mp4"),
        ],
    )  # fmt: skip
    def test_addresses(self, address: str, shown: str) -> None:
        assert redact(address) == shown
        assert SECRET not in short_name(address)

    def test_sources_of_streams(self) -> None:
        given = [f"rtsp://admin:{SECRET}@10.0.0.5/live?channel={number}" for number in (1, 2)]
        found = find_sources([*given, given[0]])
        names = ["10.0.0.5_live_channel_1", "10.0.0.5_live_channel_2", "2_10.0.0.5_live_channel_1"]
        assert [each.name for each in found] == names
        assert found[0].shown == "rtsp://admin:***@10.0.0.5/live?channel=1"

    def test_errors(self) -> None:
        for address in (f"rtsp://admin:{SECRET}@127.0.0.1:9/x", f"http://127.0.0.1:9/v?token={SECRET}"):
            with pytest.raises(InputError) as caught:
                list(read([Source("stream", address, "camera")]))
            assert SECRET not in str(caught.value)
            assert "cannot open the stream" in str(caught.value)
        with pytest.raises(InputError) as caught:
            find_sources([f"rtspx://admin:{SECRET}@host/x"])
        assert SECRET not in str(caught.value)


class TestWhatIsNoSource:
    def test_an_empty_word(self) -> None:
        with pytest.raises(InputError, match="an empty word names no source"):
            find_sources([""])

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path, noise: np.ndarray) -> None:
        os.mkfifo(tmp_path / "a.mp4")
        save(tmp_path / "b.png", noise)
        with pytest.raises(InputError, match="is a pipe or a device"):
            find_sources([str(tmp_path / "a.mp4")])
        assert [each.name for each in find_sources([str(tmp_path)])] == ["b.png"]

    def test_icons_and_covers_of_music_are_no_videos(self, tmp_path: Path, noise: np.ndarray) -> None:
        from PIL import Image

        Image.fromarray(noise).save(tmp_path / "a.ico")
        with av.open(str(tmp_path / "b.mp3"), "w") as container:
            sound, cover = container.add_stream("mp3", rate=44100), container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 160, 96, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), "fltp", "stereo")
            frame.sample_rate = 44100
            for stream, frames in ((sound, [frame, None]), (cover, [av.VideoFrame.from_ndarray(scene(0)), None])):
                for each in frames:
                    container.mux(stream.encode(each))
        save(tmp_path / "c.png", noise)
        report = ReadReport()
        assert [each.name for each in find_sources([str(tmp_path)], (), report)] == ["c.png"]
        assert report.notes == [f"'{tmp_path}': left out 2 of 3 files: 2 neither image nor video"]

    def test_an_animated_png_with_a_profile_of_colours(self, tmp_path: Path) -> None:
        from PIL import Image

        first, second = (Image.fromarray(scene(number)) for number in range(2))
        profile = np.random.default_rng(0).bytes(3000)
        first.save(tmp_path / "a.png", save_all=True, append_images=[second], duration=100, icc_profile=profile)
        assert len(list(read(find_sources([str(tmp_path / "a.png")])))) == 2


@pytest.mark.parametrize(
    ("major", "others", "kind"),
    [
        (b"avif", b"mif1", "image"), (b"xxxx", b"avifmif1", "image"), (b"heix", b"", "image"),
        (b"avis", b"avifmif1", None), (b"isom", b"mp42", None),
    ],
)  # fmt: skip
def test_a_picture_is_one_by_any_of_its_brands(major: bytes, others: bytes, kind: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes((16 + len(others)).to_bytes(4, "big") + b"ftyp" + major + bytes(4) + others + bytes(40))
    assert kind_of(path) == kind


@pytest.mark.parametrize(("head", "kind"), [(b"P6\n", "image"), (b"P2#", "image"), (b"P 6", None), (b"P8\n", None)])
def test_netpbm_pictures_by_their_first_letters(head: bytes, kind: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(head + b"4 4 255\n" + bytes(range(48)))
    assert kind_of(path) == kind
