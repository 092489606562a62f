# SPDX-License-Identifier: Apache-2.0
"""The corpus of hostile result files: each entry of CASES changes a good result in one way.

    hostile.make(good, folder) -> {name: path}; a name that ends in "+checksum" has a valid checksum, so
    that it is read as a result of escapement

Each file attempts an attack: reading other files, unbounded memory or time, a crash of HDF5, control
sequences for the terminal. `SECRET` is the number in the file that
no output may show.
"""
import ctypes
import os
import shutil
import struct

import h5py
import numpy as np

SECRET = 0.7364519283
MARKS = {"digits": "0.736451"}


def write_checksum(path):
    """Puts the mark, size and XXH3-64 of the image behind it, as escapement does."""
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    with open(path, "rb") as file:
        image = file.read()
    if image[-24:-16] == b"ESCSEAL1":
        image = image[:-24]
    with open(path, "wb") as file:
        file.write(image + b"ESCSEAL1" + struct.pack("<QQ", len(image),
                                                     library.XXH3_64bits(image, len(image))))


def swap(file, name, **how):
    """A new dataset in place of `name`."""
    shape = file[name].shape
    del file[name]
    return file.create_dataset(name, **{"shape": shape, "dtype": "<f8", **how})


def low_level(file, name, kind, space, creation=None):
    del file[name]
    return h5py.h5d.create(file.id, name.encode(), kind, space, creation)


# --- Other files -------------------------------------------------------------


def external_storage(file, there):
    swap(file, "scale", external=[(there + "/secret.bin", 0, h5py.h5f.UNLIMITED)])


def external_storage_of_steps(file, there):
    swap(file, "steps_run", dtype="<i8", external=[("secret.bin", 0, h5py.h5f.UNLIMITED)])


def virtual_dataset(file, there):
    layout = h5py.VirtualLayout(file["scale"].shape, "<f8")
    layout[:] = h5py.VirtualSource(there + "/secret.h5", "scale", file["scale"].shape)
    del file["scale"]
    file.create_virtual_dataset("scale", layout)


def virtual_dataset_of_itself(file, there):
    layout = h5py.VirtualLayout(file["scale"].shape, "<f8")
    layout[:] = h5py.VirtualSource(".", "scale", file["scale"].shape)
    del file["scale"]
    file.create_virtual_dataset("scale", layout)


def virtual_dataset_without_end(file, there):
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    here = h5py.h5s.create_simple((1,), (h5py.h5s.UNLIMITED,))
    here.select_hyperslab((0,), (h5py.h5s.UNLIMITED,), (1,), (1,))
    creation.set_virtual(here, b"block-%b.h5", b"scale", h5py.h5s.create_simple((1,)))
    low_level(file, "scale", h5py.h5t.IEEE_F64LE, here, creation)


def external_link(file, there):
    del file["scale"]
    file["scale"] = h5py.ExternalLink("secret.h5", "/scale")


def external_link_of_an_optional_variable(file, there):
    del file["final_loss"]
    file["final_loss"] = h5py.ExternalLink("secret.h5", "/scale")


def soft_link(file, there):
    file.move("scale", "elsewhere")
    file["scale"] = h5py.SoftLink("/elsewhere")


def soft_link_to_itself(file, there):
    del file["seed"]
    file["seed"] = h5py.SoftLink("/seed")


def link_that_is_not_used(file, there):
    file["more"] = h5py.ExternalLink("secret.h5", "/scale")


# --- Objects and types -------------------------------------------------------


def group_for_a_variable(file, there):
    del file["seed"]
    file.create_group("seed")


def named_type_for_a_variable(file, there):
    del file["seed"]
    file["seed"] = np.dtype("<i8")


def compound_variable(file, there):
    swap(file, "seed", dtype=np.dtype([("a", "<i8"), ("b", "<f8")]))


def string_variable(file, there):
    swap(file, "scale", dtype=h5py.string_dtype())


def variable_of_lists(file, there):
    swap(file, "scale", dtype=h5py.vlen_dtype(np.dtype("<f8")))


def variable_of_arrays(file, there):
    swap(file, "scale", dtype=np.dtype(("<f8", (1000,))))


def boolean_variable(file, there):
    swap(file, "seed", dtype=bool)


def variable_of_references(file, there):
    swap(file, "seed", dtype=h5py.ref_dtype)


def opaque_variable(file, there):
    swap(file, "scale", dtype="V8")


def wide_integers(file, there):
    kind = h5py.h5t.STD_I64LE.copy()
    kind.set_size(4096)
    low_level(file, "seed", kind, h5py.h5s.create_simple(file["seed"].shape))


def odd_integers(file, there):
    kind = h5py.h5t.STD_I64LE.copy()
    kind.set_precision(3)
    shape = file["seed"].shape
    low_level(file, "seed", kind, h5py.h5s.create_simple(shape)).write(
        h5py.h5s.ALL, h5py.h5s.ALL, np.full(shape, 1))


def scalar_variable(file, there):
    swap(file, "seed", shape=())


def variable_without_space(file, there):
    low_level(file, "seed", h5py.h5t.STD_I64LE, h5py.h5s.create(h5py.h5s.NULL))


def variable_of_many_axes(file, there):
    swap(file, "seed", shape=(1,) * 32)


# --- Sizes -------------------------------------------------------------------


def declared_endless(file, there):
    for name in ("member", "seed"):
        swap(file, name, shape=(1 << 60,), dtype="<i8", chunks=(1024,))


def declared_large(file, there):
    for name in ("member", "seed", "bottleneck", "scale", "steps_run"):
        swap(file, name, shape=(1 << 33,), dtype="<i8", chunks=(1 << 20,), compression="gzip")


def declared_long_thresholds(file, there):
    swap(file, "threshold", shape=(1 << 40,), chunks=(1024,))


def sparse_variable(file, there):
    swap(file, "scale", chunks=(4,), fillvalue=SECRET)


def contiguous_variable_without_data(file, there):
    swap(file, "scale")


def huge_chunk(file, there):
    name, creation = "scale", h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(((1 << 29) - 1,))
    creation.set_deflate(9)
    shape = file[name].shape
    low_level(file, name, h5py.h5t.IEEE_F64LE,
              h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED,)), creation)


def long_text(file, there):
    file.attrs["spec"] = "x" * (1 << 20)


def many_texts(file, there):
    for i in range(200):
        file.attrs[f"text{i}"] = "t"


def too_many_texts(file, there):
    for i in range(1500):
        file.attrs.create(f"text{i}", "t", dtype="S1")


def long_name_of_a_text(file, there):
    file.attrs["n" * 3000] = "t"


def deep_groups(file, there):
    file.create_group("/".join("g" * 400))


def group_that_holds_itself(file, there):
    file["self"] = file["/"]


# --- Filters -----------------------------------------------------------------


def filter_of_a_plugin(file, there):
    swap(file, "scale", data=file["scale"][:], shape=None, chunks=(4,), compression="lzf")


def filter_that_is_known_but_not_used(file, there):
    swap(file, "seed", data=file["seed"][:], shape=None, dtype="<i8", chunks=(4,), scaleoffset=0)


# --- Texts -------------------------------------------------------------------


def text_that_is_not_utf8(file, there):
    file.attrs.create("title", b"caf\xe9 \xff\xfe", dtype="S9")
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(h5py.h5t.VARIABLE)
    h5py.h5a.delete(file.id, b"device")
    text = h5py.h5a.create(file.id, b"device", kind, h5py.h5s.create(h5py.h5s.SCALAR))
    text.write(np.array(b"caf\xe9", dtype=object), mtype=kind)


def name_that_is_not_utf8(file, there):
    h5py.h5a.create(file.id, b"caf\xe9", h5py.h5t.STD_I8LE, h5py.h5s.create(h5py.h5s.SCALAR))
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(4)
    h5py.h5a.create(file.id, b"\xff\xfe", kind, h5py.h5s.create(h5py.h5s.SCALAR)).write(
        np.array(b"text", dtype="S4"))


def texts_that_a_terminal_obeys(file, there):
    for name in ("title", "device", "backend", "engine", "precision", "commit", "name", "spec",
                 "segments", "end_time"):
        file.attrs[name] = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202ereversed\u2066"
    file.attrs["evil\x1b[31m"] = "\u009b2J"


def texts_of_other_shapes(file, there):
    file.attrs["empty"] = h5py.Empty("S1")
    file.attrs["list"] = ["a", "b"]
    file.attrs["one"] = np.array(["a"], dtype=h5py.string_dtype())
    file.attrs["reference"] = file["scale"].ref
    file.attrs["compound"] = np.zeros(2, dtype=[("a", "<i8"), ("b", "S4")])
    file.attrs["spec"] = h5py.Empty(h5py.string_dtype())


def segments_that_are_no_list(file, there):
    file.attrs["segments"] = "[" * 5000 + "1, {}, []"


def segments_of_other_types(file, there):
    file.attrs["segments"] = '[1, {"start_time": 3, "wall_s": "x", "steps": null}, [[]]]'


# --- Values ------------------------------------------------------------------


def unsigned_numbers_beyond_range(file, there):
    swap(file, "steps_run", data=np.full(file["seed"].shape, 2**64 - 1, dtype="<u8"), shape=None,
         dtype="<u8")


def bottleneck_beyond_range(file, there):
    swap(file, "bottleneck", data=np.full(file["seed"].shape, 2**40), shape=None, dtype="<i8")


def negative_bottleneck(file, there):
    file["bottleneck"][:] = -2000000000


def steps_beyond_all(file, there):
    file["escape_step"][:] = 2**63 - 1
    file["steps_run"][:] = -2**63


def scales_that_are_none(file, there):
    file["scale"][:] = [[np.nan, np.inf, -1, 0, 1e308, 5e-324][i % 6]
                        for i in range(len(file["scale"]))]


def thresholds_that_are_none(file, there):
    file["threshold"][:] = np.nan


def status_of_no_kind(file, there):
    file["status"][:] = 2**31 - 1


def layers_of_no_network(file, there):
    file["small_layers"][:] = -1


def no_members(file, there):
    for name in list(file):
        if file[name].ndim and name not in ("threshold", "layer", "interface"):
            shape = (0, *file[name].shape[1:])
            swap(file, name, shape=shape, dtype=file[name].dtype)


CASES = {name: case for name, case in globals().items()
         if callable(case) and getattr(case, "__code__", None)
         and case.__code__.co_varnames[:2] == ("file", "there")}


def make_secrets(there):
    """The files that the attacks try to read."""
    np.full(64, SECRET).tofile(there + "/secret.bin")
    with h5py.File(there + "/secret.h5", "w") as file:
        file["scale"] = np.full(64, SECRET)


def make(good, there):
    """The corpus from the result `good`, in the folder `there`."""
    paths = {}
    make_secrets(there)
    for name, case in CASES.items():
        path = f"{there}/{name}.h5"
        shutil.copy(good, path)
        with h5py.File(path, "r+") as file:
            case(file, there)
        with_checksum = f"{there}/{name}+checksum.h5"
        shutil.copy(path, with_checksum)
        write_checksum(with_checksum)
        with open(path, "r+b") as file:  # removes the old checksum, which is wrong now
            size = os.path.getsize(path)
            file.seek(size - 24)
            if file.read(8) == b"ESCSEAL1":
                file.truncate(size - 24)
        paths[name], paths[name + "+checksum"] = path, with_checksum
    return paths
