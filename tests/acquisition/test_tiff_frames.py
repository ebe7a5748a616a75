"""Movies in TIFF files and folders: all frames or none, and the pixel size they tell."""

from __future__ import annotations

import json
import os
import struct
import sys
import tracemalloc

import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image

from napari_dl4smlm.backend.acquisition.frames import open_frames
from napari_dl4smlm.backend.errors import InputError

pytestmark = pytest.mark.usefixtures("no_file_left_open")

MEBIBYTE = 2**20
N_FRAMES, HEIGHT, WIDTH = 50, 16, 20


@pytest.fixture
def movie():
    return np.random.default_rng(0).integers(0, 2**16, (N_FRAMES, HEIGHT, WIDTH), dtype=np.uint16)


def write_page_by_page(path, movie, **options):
    with tifffile.TiffWriter(path) as writer:
        for frame in movie:
            writer.write(frame, **options)


def write_in_batches(path, movie):
    with tifffile.TiffWriter(path) as writer:
        writer.write(movie[:20])
        writer.write(movie[20:])


def write_metamorph(path, movie):
    """Write one page with the tags UIC1 and UIC2, and the other planes behind its pixels."""
    uic1 = (33628, 4, 4, (0, 0, 0, 0), True)
    uic2 = (33629, 5, len(movie), (0, 1) * len(movie), True)
    tifffile.imwrite(path, movie[0], metadata=None, extratags=[uic1, uic2])
    with path.open("ab") as file:
        file.write(movie[1:].tobytes())


WRITERS = {
    "tifffile": tifffile.imwrite,
    "no metadata": lambda path, movie: tifffile.imwrite(path, movie, metadata=None),
    "BigTIFF": lambda path, movie: tifffile.imwrite(path, movie, bigtiff=True),
    "big endian": lambda path, movie: tifffile.imwrite(path, movie, byteorder=">"),
    "ImageJ": lambda path, movie: tifffile.imwrite(path, movie, imagej=True),
    "ImageJ time": lambda path, movie: tifffile.imwrite(
        path, movie, imagej=True, metadata={"axes": "TYX"}
    ),
    "ImageJ, one page": lambda path, movie: tifffile.imwrite(
        path, movie, imagej=True, truncate=True
    ),
    "OME": lambda path, movie: tifffile.imwrite(path, movie, ome=True, metadata={"axes": "TYX"}),
    "OME z stack": lambda path, movie: tifffile.imwrite(
        path, movie, ome=True, metadata={"axes": "ZYX"}
    ),
    "OME page by page": lambda path, movie: write_page_by_page(path, movie, metadata={}),
    "tifffile, one page": lambda path, movie: tifffile.imwrite(path, movie, truncate=True),
    "tifffile, one page, described": lambda path, movie: tifffile.imwrite(
        path, movie, truncate=True, description="cell 7"
    ),
    "page by page": write_page_by_page,
    "page by page, no metadata": lambda path, movie: write_page_by_page(path, movie, metadata=None),
    "in batches": write_in_batches,
    "zlib": lambda path, movie: tifffile.imwrite(path, movie, compression="zlib", predictor=True),
    "tiles": lambda path, movie: tifffile.imwrite(path, movie, tile=(16, 16)),
    "strips": lambda path, movie: tifffile.imwrite(path, movie, rowsperstrip=3),
    "MetaMorph": write_metamorph,
}
SUFFIXES = {"OME page by page": ".ome.tif", "MetaMorph": ".stk"}


@pytest.fixture(params=WRITERS)
def written(request, tmp_path, movie):
    """A movie file, as each kind of writer leaves it."""
    path = tmp_path / f"movie{SUFFIXES.get(request.param, '.tif')}"
    WRITERS[request.param](path, movie)
    return path


def test_every_kind_of_file_gives_all_frames_and_any_range_of_them(written, movie):
    with open_frames(written) as stack:
        assert stack.shape == movie.shape
        assert stack.name == written.name
        np.testing.assert_array_equal(stack.read(0, N_FRAMES), movie)
        np.testing.assert_array_equal(stack.read(18, 23), movie[18:23])


def test_a_file_cut_anywhere_gives_all_frames_or_none(written, movie):
    content = written.read_bytes()
    cut = written.with_name(f"cut{written.suffix}")
    refusals = []
    for length in (*range(0, len(content), len(content) // 30), len(content) - 1):
        cut.write_bytes(content[:length])
        try:
            with open_frames(cut) as stack:
                np.testing.assert_array_equal(stack.read(0, len(stack)), movie)
        except InputError as error:
            refusals.append(str(error))
    assert all("cut" in refusal for refusal in refusals)
    # a cut behind the last frame loses only metadata, such as OME-XML
    assert len(refusals) > 20


@pytest.mark.parametrize(
    "writer",
    [
        "tifffile",
        "no metadata",
        "ImageJ",
        "ImageJ, one page",
        "OME",
        "tifffile, one page",
        "MetaMorph",
        "page by page, but counted",
    ],
)
def test_a_file_cut_short_is_refused_with_its_frame_counts(tmp_path, movie, writer):
    path = tmp_path / "movie.tif"
    if writer == "page by page, but counted":
        write_page_by_page(path, movie, metadata=None, description=f"ImageJ=\nimages={N_FRAMES}")
    else:
        WRITERS[writer](path, movie)
    content = path.read_bytes()
    half_way_through_frame_27 = content.index(movie[27].tobytes()) + movie[27].nbytes // 2
    path.write_bytes(content[:half_way_through_frame_27])
    message = r"movie\.tif promises 50 frames but holds 27: it was cut short"
    with pytest.raises(InputError, match=message):
        open_frames(path)


def test_a_file_cut_short_that_never_told_its_frames_is_refused_too(tmp_path, movie):
    path = tmp_path / "movie.tif"
    write_page_by_page(path, movie)
    path.write_bytes(path.read_bytes().split(movie[27].tobytes())[0])
    with pytest.raises(InputError, match=r"movie\.tif breaks off after 27 frames"):
        open_frames(path)


@pytest.mark.parametrize("first_lost_page", [1, 20])
def test_a_cut_where_the_frames_told_of_so_far_are_complete_is_noticed(
    tmp_path, movie, first_lost_page
):
    path = tmp_path / "movie.tif"
    write_in_batches(path, movie)  # the first page tells of 20 frames, a later one of 30 more
    with tifffile.TiffFile(path) as tif:
        length = tif.pages[first_lost_page].offset
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"movie\.tif breaks off after 20 frames"):
        open_frames(path)


def test_imagej_metadata_may_count_images_alone(tmp_path, movie):
    description = f"ImageJ=1.54f\nimages={N_FRAMES}\n"
    tifffile.imwrite(tmp_path / "movie.tif", movie[0], description=description, metadata=None)
    with (tmp_path / "movie.tif").open("ab") as file:
        file.write(movie[1:].tobytes())
    with open_frames(tmp_path / "movie.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, N_FRAMES), movie)


def test_pages_that_the_metadata_do_not_count_are_frames_as_well(tmp_path, movie):
    write_page_by_page(
        tmp_path / "movie.tif", movie, metadata=None, description="ImageJ=1.54f\nimages=1\n"
    )
    with open_frames(tmp_path / "movie.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, N_FRAMES), movie)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_every_camera_pixel_type_is_read(tmp_path, dtype, byteorder, compression):
    movie = np.arange(5 * 6 * 7).reshape(5, 6, 7).astype(dtype)
    tifffile.imwrite(tmp_path / "m.tif", movie, byteorder=byteorder, compression=compression)
    with open_frames(tmp_path / "m.tif") as stack:
        frames = stack.read(1, 4)
    assert frames.dtype == stack.dtype == movie.dtype
    assert frames.dtype.isnative
    np.testing.assert_array_equal(frames, movie[1:4])


@pytest.mark.parametrize("dtype", ["i8", "u8", "c8", "?"])
def test_other_pixel_types_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "m.tif", np.zeros((5, 6, 7), dtype))
    with pytest.raises(InputError, match=r"m\.tif has pixels of type .* Convert them"):
        open_frames(tmp_path / "m.tif")


@pytest.mark.parametrize(
    ("file", "shape", "pixel_size_nm"),
    [
        ("deepstorm_demo1/ArtificialDataset_demo1.tif", (20, 64, 64), 100.0),
        ("deepstorm_demo1/testStack_frames1-60_unlabelled.tif", (60, 64, 64), None),
        ("locan/images.tif", (5, 128, 128), None),
    ],
)
def test_movies_of_other_programs_are_read_as_pillow_reads_them(
    third_party_data, file, shape, pixel_size_nm
):
    with (
        open_frames(third_party_data / file) as stack,
        Image.open(third_party_data / file) as image,
    ):
        assert stack.shape == shape
        assert stack.dtype == np.uint16
        assert stack.pixel_size_nm == pixel_size_nm
        for number in (0, 1, shape[0] - 1):
            image.seek(number)
            np.testing.assert_array_equal(stack.read(number, number + 1)[0], np.asarray(image))
        with pytest.raises(EOFError):
            image.seek(shape[0])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system with sparse files")
@pytest.mark.parametrize("options", [{"bigtiff": True}, {"imagej": True, "truncate": True}])
def test_a_file_larger_than_memory_is_opened_and_read_in_part(tmp_path, options):
    path = tmp_path / "large.tif"
    large = tifffile.memmap(path, shape=(12_000, 1024, 1024), dtype=np.uint16, **options)
    large[11_111] = 7
    del large
    tracemalloc.start()
    with open_frames(path) as stack:
        assert stack.n_frames == 12_000
        assert stack.read(11_111, 11_112).min() == 7
        assert stack.read(11_110, 11_111).max() == 0
    assert path.stat().st_size > 25e9
    assert tracemalloc.get_traced_memory()[1] < 20 * MEBIBYTE
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.tif", b""),
        ("notes.tif", b"frame,x,y\n1,100,200\n"),
        ("picture.tif", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("table.tif", b"\x89HDF\r\n\x1a\n" + bytes(100)),
        ("noise.nd2", bytes(range(256))),
        ("broken.tif", b"II*\0\x08\0\0\0" + b"\xff" * 100),
    ],
)
def test_a_file_that_is_not_tiff_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} .* with Fiji"):
        open_frames(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"There is no file or folder .*movie\.tif"):
        open_frames(tmp_path / "movie.tif")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_refused(tmp_path, movie):
    tifffile.imwrite(tmp_path / "movie.tif", movie)
    (tmp_path / "movie.tif").chmod(0)
    with pytest.raises(InputError, match=r"movie\.tif cannot be read: Permission denied"):
        open_frames(tmp_path / "movie.tif")


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_a_colour_movie_is_refused(tmp_path, photometric, planarconfig):
    shape = (5, 16, 20, 3) if planarconfig == "contig" else (5, 3, 16, 20)
    tifffile.imwrite(
        tmp_path / "colour.tif",
        np.zeros(shape, np.uint8),
        photometric=photometric,
        planarconfig=planarconfig,
    )
    with pytest.raises(InputError, match=r"colour\.tif has .*(16, 20|16 x 20)"):
        open_frames(tmp_path / "colour.tif")


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"ome": True}, "TCYX"),
        ({"ome": True}, "TZYX"),
        ({"imagej": True}, "TCYX"),
        ({"imagej": True}, "ZCYX"),
        ({}, "TCYX"),
        ({"truncate": True}, "TCYX"),
        ({"ome": True, "compression": "zlib"}, "TCYX"),
    ],
)
def test_two_long_axes_are_refused_with_the_shape(tmp_path, options, axes):
    movie = np.zeros((5, 2, 16, 20), np.uint16)
    tifffile.imwrite(tmp_path / "movie.tif", movie, metadata={"axes": axes}, **options)
    message = r"movie\.tif has shape [1x ]*(5 x|2 x)[1x ]*(5 x|2 x)[1x ]*16 x 20; .* Choose one"
    with pytest.raises(InputError, match=message):
        open_frames(tmp_path / "movie.tif")


@pytest.mark.parametrize(
    ("options", "axes", "shape"),
    [
        ({"ome": True}, "TCZYX", (5, 1, 1, 16, 20)),
        ({"ome": True}, "TCZYX", (1, 1, 5, 16, 20)),
        ({"imagej": True}, "TZCYX", (5, 1, 1, 16, 20)),
        ({}, "TCZYX", (1, 5, 1, 16, 20)),
        ({"ome": True}, "YX", (16, 20)),
        ({"imagej": True}, "YX", (16, 20)),
        ({}, "YX", (16, 20)),
    ],
)
def test_axes_of_length_one_are_dropped(tmp_path, options, axes, shape):
    movie = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(tmp_path / "movie.tif", movie, metadata={"axes": axes}, **options)
    with open_frames(tmp_path / "movie.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, len(stack)), movie.reshape(-1, 16, 20))


@pytest.mark.parametrize("other", [np.zeros((4, 5), np.uint16), np.zeros((16, 20), np.uint8)])
def test_pages_of_another_size_or_type_are_refused(tmp_path, movie, other):
    write_page_by_page(tmp_path / "movie.tif", [*movie[:3], other], metadata=None)
    with pytest.raises(InputError, match=r"Page 3 of movie\.tif is .*, but page 0 is 16 x 20"):
        open_frames(tmp_path / "movie.tif")


def test_several_ome_images_with_many_frames_are_refused(tmp_path, movie):
    with tifffile.TiffWriter(tmp_path / "positions.ome.tif") as writer:
        writer.write(movie[:20], metadata={"axes": "TYX"})
        writer.write(movie[20:40], metadata={"axes": "TYX"})
    with pytest.raises(InputError, match=r"positions\.ome\.tif has shape 2 x 20 x 1 x 1 x 16 x 20"):
        open_frames(tmp_path / "positions.ome.tif")


def test_damage_inside_a_compressed_frame_is_reported_with_its_number(tmp_path, movie):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[7].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 8] = b"\xff" * 8
    path.write_bytes(content)
    with open_frames(path) as stack:
        stack.read(0, 7)
        with pytest.raises(InputError, match=r"Frame 7 of movie\.tif cannot be read as TIFF"):
            stack.read(5, 9)


def test_an_unknown_compression_is_refused_when_the_file_is_opened(tmp_path, movie):
    tifffile.imwrite(tmp_path / "movie.tif", movie, compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "movie.tif", mode="r+b") as tif:
        for page in tif.pages:
            page.tags["Compression"].overwrite(999)
    with pytest.raises(InputError, match=r"movie\.tif is compressed and cannot be decoded: 999"):
        open_frames(tmp_path / "movie.tif")


def test_a_file_that_shrinks_after_it_was_opened_is_reported(tmp_path, movie):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie)
    with open_frames(path) as stack:
        os.truncate(path, path.stat().st_size // 2)
        stack.read(0, 10)
        with pytest.raises(InputError, match=r"movie\.tif ends before frame 49 does"):
            stack.read(40, 50)


def ome_xml(files, own):
    """Describe one movie over several files, given as (name, frames in it); `own` is the reader's.

    After the example "multi-file OME-TIFF filesets" of the OME-TIFF specification.
    """
    data, first = [], 0
    for name, n_frames in files:
        data += [
            f'<TiffData FirstT="{first + i}" FirstZ="0" FirstC="0" IFD="{i}" PlaneCount="1">'
            f'<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
            for i in range(n_frames)
        ]
        first += n_frames
    return (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
        f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeZ="1" SizeC="1" SizeT="{first}" '
        f'PhysicalSizeX="0.1" PhysicalSizeY="0.1">{"".join(data)}</Pixels></Image></OME>'
    )


@pytest.fixture(params=[None, "zlib"])
def ome_set(request, tmp_path, movie):
    """Three OME-TIFF files with the frames 0 to 19, 20 to 39 and 40 to 49."""
    files = [("a.ome.tif", 20), ("b.ome.tif", 20), ("c.ome.tif", 10)]
    parts = np.split(movie, [20, 40])
    for (name, _), part in zip(files, parts, strict=True):
        tifffile.imwrite(
            tmp_path / name,
            part,
            description=ome_xml(files, name),
            metadata=None,
            compression=request.param,
        )
    return tmp_path


@pytest.mark.parametrize("name", ["a.ome.tif", "b.ome.tif", "c.ome.tif"])
def test_any_file_of_an_ome_set_opens_the_whole_movie(ome_set, movie, name):
    with open_frames(ome_set / name) as stack:
        assert stack.pixel_size_nm == 100.0
        np.testing.assert_array_equal(stack.read(0, N_FRAMES), movie)
        np.testing.assert_array_equal(stack.read(19, 41), movie[19:41])
        open_now = [file for file in psutil.Process().open_files() if "ome.tif" in file.path]
        assert len(open_now) == 1


def test_an_ome_set_with_one_frame_in_each_file_opens_the_whole_movie(tmp_path, movie):
    files = [(f"t{number}.ome.tif", 1) for number in range(12)]
    for (name, _), frame in zip(files, movie, strict=False):
        xml = ome_xml(files, name)
        tifffile.imwrite(tmp_path / name, frame, description=xml, metadata=None)
    with open_frames(tmp_path / "t3.ome.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, len(stack)), movie[:12])


def test_an_ome_set_with_a_missing_file_is_refused(ome_set):
    (ome_set / "b.ome.tif").unlink()
    message = r"a\.ome\.tif promises 50 frames but holds 30: .* files that belong to it are missing"
    with pytest.raises(InputError, match=message):
        open_frames(ome_set / "a.ome.tif")


def test_an_ome_set_with_a_file_cut_short_is_refused(ome_set, movie):
    content = (ome_set / "c.ome.tif").read_bytes()
    (ome_set / "c.ome.tif").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match=r"a\.ome\.tif promises 50 frames but holds 4\d"):
        open_frames(ome_set / "a.ome.tif")


def test_ome_metadata_that_miscount_their_file_do_not_hide_frames(tmp_path, movie):
    name = "movie.ome.tif"
    xml = ome_xml([(name, 30)], name)
    tifffile.imwrite(tmp_path / name, movie, description=xml, metadata=None)
    with open_frames(tmp_path / name) as stack:
        np.testing.assert_array_equal(stack.read(0, N_FRAMES), movie)


PAGE_HEADER_BYTES = 2 + 11 * 12 + 4


def write_micro_manager(path, frames, header, description=""):
    """Write a TIFF file as Micro-Manager does: its own header, then each page before its pixels.

    Returns the bytes at which the pixels of each frame start. After
    https://micro-manager.org/Micro-Manager_File_Formats.
    """
    text = description.encode() + b"\0"
    metadata = json.dumps({"PixelSizeUm": 0.108}).encode() + b"\0"
    offsets = []
    with path.open("wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, 8 + len(header)) + header)
        for frame in frames:
            pixels = file.tell() + PAGE_HEADER_BYTES
            end = pixels + frame.nbytes
            next_page = end + len(text) + len(metadata)
            tags = [
                (256, 4, 1, frame.shape[1]),
                (257, 4, 1, frame.shape[0]),
                (258, 3, 1, 16),
                (259, 3, 1, 1),
                (262, 3, 1, 1),
                (270, 2, len(text), end),
                (273, 4, 1, pixels),
                (277, 3, 1, 1),
                (278, 4, 1, frame.shape[0]),
                (279, 4, 1, frame.nbytes),
                (51123, 2, len(metadata), end + len(text)),
            ]
            file.write(struct.pack("<H", len(tags)))
            file.write(b"".join(struct.pack("<HHII", *tag) for tag in tags))
            file.write(struct.pack("<I", 0 if len(offsets) == len(frames) - 1 else next_page))
            file.write(frame.tobytes() + text + metadata)
            offsets.append(pixels)
    return offsets


def micro_manager_header(times, page_offsets):
    """Build the header of an image stack that was planned with 100 frames."""
    summary = json.dumps({"MicroManagerVersion": "2.0", "Frames": 100, "Prefix": "mov"}).encode()
    places = zip(times, page_offsets, strict=True)
    index = b"".join(struct.pack("<5I", 0, 0, time, 0, offset) for time, offset in places)
    blocks = (54773648, 40 + len(summary)), (483765892, 0), (99384722, 0), (2355492, len(summary))
    return (
        b"".join(struct.pack("<2I", *block) for block in blocks)
        + summary
        + struct.pack("<2I", 3453623, len(times))
        + index
    )


def test_a_micro_manager_acquisition_stopped_early_opens_with_the_frames_it_has(tmp_path, movie):
    files = [("mov_MMStack.ome.tif", 30), ("mov_MMStack_1.ome.tif", 20)]
    for (name, _), times in zip(files, (range(30), range(30, 50)), strict=True):
        page_offsets = [0] * len(times)
        for _ in range(2):  # the index is in front of the pages whose offsets it holds
            header = micro_manager_header(times, page_offsets)
            frames = movie[times.start : times.stop]
            pixels = write_micro_manager(tmp_path / name, frames, header, ome_xml(files, name))
            page_offsets = [offset - PAGE_HEADER_BYTES for offset in pixels]
    with open_frames(tmp_path / files[0][0]) as stack:
        assert stack.pixel_size_nm == 100.0
        np.testing.assert_array_equal(stack.read(0, len(stack)), movie)


def write_ndtiff(folder, movie, files, lost=None):
    header = struct.pack("<5I", 483729, 3, 0, 2355492, 2) + b"{}"
    index = b""
    first = 0
    for name, n_frames in files:
        frames = movie[first : first + n_frames]
        for i, offset in enumerate(write_micro_manager(folder / name, frames, header)):
            if first + i == lost:
                continue
            axes = json.dumps({"time": first + i}).encode()
            index += struct.pack("<I", len(axes)) + axes
            index += struct.pack("<I", len(name)) + name.encode()
            index += struct.pack("<8I", offset, WIDTH, HEIGHT, 1, 0, 0, 0, 0)
        first += n_frames
    (folder / "NDTiff.index").write_bytes(index)


def test_an_ndtiff_set_opens_as_one_movie(tmp_path, movie):
    write_ndtiff(tmp_path, movie, [("m_NDTiffStack.tif", 30), ("m_NDTiffStack_1.tif", 20)])
    with open_frames(tmp_path / "m_NDTiffStack.tif") as stack:
        assert stack.pixel_size_nm == 108.0
        np.testing.assert_array_equal(stack.read(0, N_FRAMES), movie)


def test_an_ndtiff_set_with_a_missing_file_is_refused(tmp_path, movie):
    write_ndtiff(tmp_path, movie, [("m_NDTiffStack.tif", 30), ("m_NDTiffStack_1.tif", 20)])
    (tmp_path / "m_NDTiffStack_1.tif").unlink()
    with pytest.raises(InputError, match=r"m_NDTiffStack\.tif cannot be read: No such file"):
        open_frames(tmp_path / "m_NDTiffStack.tif")


def test_an_ndtiff_set_with_a_file_cut_short_is_refused(tmp_path, movie):
    write_ndtiff(tmp_path, movie, [("m_NDTiffStack.tif", 30), ("m_NDTiffStack_1.tif", 20)])
    content = (tmp_path / "m_NDTiffStack_1.tif").read_bytes()
    (tmp_path / "m_NDTiffStack_1.tif").write_bytes(content.split(movie[41].tobytes())[0])
    with pytest.raises(InputError, match=r"m_NDTiffStack\.tif promises 50 frames but holds 41"):
        open_frames(tmp_path / "m_NDTiffStack.tif")


def test_an_ndtiff_set_that_lacks_a_frame_is_refused(tmp_path, movie):
    files = [("m_NDTiffStack.tif", 30), ("m_NDTiffStack_1.tif", 20)]
    write_ndtiff(tmp_path, movie, files, lost=17)
    with pytest.raises(InputError, match=r"m_NDTiffStack\.tif promises 50 frames but holds 49"):
        open_frames(tmp_path / "m_NDTiffStack.tif")
