# SPDX-License-Identifier: Apache-2.0
"""Programs for a GPU node: built on the node with the preset `cuda`, or copied to it as a bundle, a
folder with the programs, the shared libraries that a bare node lacks, and a manifest.

The node provides glibc, the compiler's runtime and the CUDA toolkit's libraries;
programs find the other libraries by a run path relative to themselves.
"""
import glob
import hashlib
import json
import lzma
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile

from .calls import ROOT, Refusal, call, tail

BUILD = os.path.join(ROOT, "build", "cuda")
MANIFEST = "manifest.json"
SIZE_LIMIT = 50e6  # bytes of the archive: what may travel to a lent machine beside a checkout

# glibc (with its loader) and the compiler's runtime; the CUDA toolkit and the driver.
FROM_NODE = re.compile(
    r"(linux-vdso|ld-linux.*|lib(c|m|mvec|dl|rt|pthread|resolv|util|anl|gcc_s|stdc\+\+"
    r"|cuda|cudart|cublas|cublasLt|curand|nvJitLink|nvrtc|nvidia-.*))\.so(\..*)?$")


def shared_libraries(program, environment=None):
    """{soname: path, or None where the loader finds none} of all that `program` loads."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False,
                          env=environment)
    if done.returncode != 0:
        raise Refusal(f"ldd {program}: {done.stderr.strip() or done.stdout.strip()}")
    libraries = {}
    for line in done.stdout.splitlines():
        name, _, path = re.sub(r"\s*\(0x[0-9a-f]+\)$", "", line.strip()).partition(" => ")
        if path or os.path.isabs(name):  # the loader, and what is named by its path
            libraries[os.path.basename(name)] = None if path == "not found" else path or name
    return libraries


def libraries_to_carry(programs):
    """{soname: path} of what the programs load and a bare node lacks."""
    carried = {}
    for program in programs:
        for name, path in shared_libraries(program).items():
            if FROM_NODE.match(name):
                continue
            if path is None:
                raise Refusal(f"{program}: {name} is not on this machine")
            carried[name] = path
    return carried


def output_of(*command):
    """What a command prints, or "" where it fails or is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT,
                              check=False).stdout.strip()
    except OSError:
        return ""


def build(*settings):
    """Configures the preset `cuda` and builds the program and the tests with the label gpu, its
    output to stderr."""
    for command in (["cmake", "--preset", "cuda", "-DBUILD_TESTING=ON", *settings],
                    ["cmake", "--build", "--preset", "cuda", "--target", "gpu_tests"]):
        try:
            done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        except OSError as error:
            raise Refusal(f"{command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            raise Refusal(f"{' '.join(command)}: failed, see above")


def labelled_tests(listing, label):
    """Tests with a label of ctest's listing (--show-only=json-v1): name, command and environment
    of each."""
    tests = []
    for test in listing["tests"]:
        properties = {p["name"]: p["value"] for p in test.get("properties", [])}
        if label in properties.get("LABELS", []) and "command" in test:
            tests.append({"name": test["name"], "command": test["command"],
                          "environment": dict(pair.split("=", 1)
                                              for pair in properties.get("ENVIRONMENT", []))})
    return tests


def built_tests(build_folder, label):
    try:
        listing = json.loads(output_of("ctest", "--test-dir", build_folder, "--show-only=json-v1"))
    except ValueError as error:
        raise Refusal(f"{build_folder}: ctest lists no tests of it") from error
    tests = labelled_tests(listing, label)
    if not tests:
        raise Refusal(f"{build_folder}: has no test with the label {label}")
    return tests


def is_program(path):
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def split_tests(tests):
    """Tests that are one of our programs with plain arguments, and the names of the others
    (scripts, whose interpreter and modules a node need not have)."""
    def travels(command):
        return (is_program(command[0]) and command[0].startswith(BUILD + os.sep) and
                not any(os.path.isabs(word) for word in command[1:]))

    return ([t for t in tests if travels(t["command"])],
            [t["name"] for t in tests if not travels(t["command"])])


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def copy_program(program, folder):
    target = os.path.join(folder, "bin", os.path.basename(program))
    shutil.copy2(program, target)
    subprocess.run(["strip", target], check=True)
    return target


def copy_all(folder, programs):
    """Fills bin/ and lib/; every program must then load from lib/ all that is there."""
    for part in ("bin", "lib"):
        os.makedirs(os.path.join(folder, part))
    copies = [copy_program(program, folder) for program in programs]
    for name, path in libraries_to_carry(programs).items():
        shutil.copy2(path, os.path.join(folder, "lib", name))
    for copy in copies:
        for name, path in shared_libraries(copy).items():
            inside = path and os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep)
            if not FROM_NODE.match(name) and not inside:
                raise Refusal(f"{copy}: loads {name} from {path}, not from the bundle")


def bundled_files(folder):
    return sorted(os.path.relpath(path, folder) for part in ("bin", "lib")
                  for path in glob.glob(os.path.join(folder, part, "*")))


def write_manifest(folder, tests, left_out):
    names = bundled_files(folder)
    manifest = {
        "version": output_of(os.path.join(folder, "bin", "escapement"), "--version"),
        "commit": commit(os.path.join(folder, "bin", "escapement")),
        "toolkit": toolkit_version(),
        "machine": platform.machine(),
        "glibc": platform.libc_ver()[1],
        "bytes": sum(os.path.getsize(os.path.join(folder, name)) for name in names),
        "tests": [{**t, "command": [os.path.join("bin", os.path.basename(t["command"][0])),
                                    *t["command"][1:]]} for t in tests],
        "left_out": left_out,
        "files": {name: digest(os.path.join(folder, name)) for name in names},
    }
    with open(os.path.join(folder, MANIFEST), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    return manifest


def clear(folder):
    """Deletes the bundle in `folder`; refuses a folder with files that its manifest does not name."""
    if not os.path.exists(os.path.join(folder, MANIFEST)):
        raise Refusal(f"{folder}: holds something else than a bundle")
    with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
        known = {MANIFEST, *json.load(file)["files"]}
    found = {os.path.relpath(os.path.join(root, name), folder)
             for root, _, names in os.walk(folder) for name in names}
    if found - known:
        raise Refusal(f"{folder}: holds {min(found - known)} besides a bundle; move it away")
    shutil.rmtree(folder)


def archive_of(folder):
    return folder.rstrip(os.sep) + ".tar.xz"


def pack(folder):
    """Packs a bundle beside its folder; its bytes. Every program has a copy of the device code, of
    which the archive keeps less than two thirds."""
    path = archive_of(folder)
    with tarfile.open(path + ".part", "w:xz", preset=1) as archive:
        archive.add(folder, arcname=".")
    os.replace(path + ".part", path)
    return os.path.getsize(path)


def unpack(path, folder):
    try:
        with tarfile.open(path) as archive:
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(folder, **safe)
    except (OSError, tarfile.TarError, lzma.LZMAError) as error:
        raise Refusal(f"{path}: is no bundle ({error})") from error


def make(folder, architectures):
    """Builds and makes the bundle in `folder`, which must be new, empty or a bundle, with code for
    `architectures`, as CMake names them, and packs it beside the folder. Returns its manifest."""
    if os.path.isdir(folder) and os.listdir(folder):
        clear(folder)
    # An old-style run path, because it also applies to the libraries' own dependencies. Every
    # program contains the device code, so it is compressed.
    build("-DCMAKE_BUILD_RPATH=$ORIGIN/../lib",
          "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags",
          "-DCMAKE_CUDA_FLAGS=-Xfatbin=-compress-all",
          "-DCMAKE_CUDA_ARCHITECTURES=" + architectures)
    tests, left_out = split_tests(built_tests(BUILD, "gpu"))
    programs = [os.path.join(BUILD, "escapement"), *(t["command"][0] for t in tests)]
    copy_all(folder, list(dict.fromkeys(programs)))
    manifest = write_manifest(folder, tests, left_out)
    size = pack(folder)
    if size > SIZE_LIMIT:
        raise Refusal(f"{archive_of(folder)}: {size / 1e6:.1f} MB, more than {SIZE_LIMIT / 1e6:.0f}; "
                      "--architectures with fewer of them makes it smaller")
    return {**manifest, "packed": size}


def toolkit_version():
    return (output_of("nvcc", "--version").splitlines() or ["unknown"])[-1]


def commit(program):
    """The commit that the program says it was built from."""
    found = re.search(r"commit ([^;)]+)", output_of(program, "--version"))
    return found.group(1) if found else "unknown"


def tree_commit():
    """The working tree's, as host/base/commit.cmake asks for it; "" without git."""
    return output_of("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


class Programs:
    """What is run on the GPU: `program`, and `tests` with name, command and environment;
    `environment` is what all of them need, `facts` what the report tells of them."""

    def __init__(self, program, tests, facts):
        self.program, self.tests, self.facts = program, tests, facts
        self.environment = dict(os.environ)


def open_bundle(folder, scratch):
    """Programs of a bundle, a folder or an archive, which is unpacked in `scratch`. Refuses files
    whose digest is not that of the manifest."""
    if os.path.isfile(folder):
        unpack(folder, os.path.join(scratch, "bundle"))
        folder = os.path.join(scratch, "bundle")
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError) as error:
        raise Refusal(f"{folder}: is no bundle ({error})") from error
    for name, want in manifest["files"].items():
        path = os.path.join(folder, name)
        if not os.path.exists(path) or digest(path) != want:
            raise Refusal(f"{path}: is not the file of the manifest; make the bundle anew")
        if name.startswith("bin" + os.sep):
            os.chmod(path, 0o755)
    if manifest["machine"] != platform.machine():
        raise Refusal(f"{folder}: is for {manifest['machine']}, not {platform.machine()}")
    folder = os.path.abspath(folder)
    tests = [{**t, "command": [os.path.join(folder, t["command"][0]), *t["command"][1:]]}
             for t in manifest["tests"]]
    facts = {key: manifest[key] for key in ("version", "commit", "toolkit", "left_out")}
    return Programs(os.path.join(folder, "bin", "escapement"), tests, {"bundle": True, **facts})


def open_build():
    """Builds the programs."""
    build()
    program = os.path.join(BUILD, "escapement")
    return Programs(program, built_tests(BUILD, "gpu"), {
        "bundle": False, "version": output_of(program, "--version"), "commit": commit(program),
        "toolkit": toolkit_version(), "left_out": []})


def check_start(programs):
    """Refuses programs that do not start here, as those of a newer glibc."""
    done = call([programs.program, "--version"], 60, programs.environment)
    if done.code != 0:
        raise Refusal(f"{done.words()}: {tail(done.errors, 1)}; make the bundle on a system that is "
                      "not newer than this one")


def toolkit_folders():
    """Folders that may have CUDA's libraries, the most likely first."""
    nvcc = shutil.which("nvcc")
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"),
             nvcc and os.path.dirname(os.path.dirname(os.path.realpath(nvcc))),
             "/usr/local/cuda", *sorted(glob.glob("/usr/local/cuda-*"), reverse=True)]
    folders = [os.path.join(root, name) for root in roots if root
               for name in ("lib64", "lib", "targets/x86_64-linux/lib")]
    return folders + glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "*", "lib"))


def add_library_folder(programs, folder):
    paths = [programs.environment.get("LD_LIBRARY_PATH"), folder]
    programs.environment["LD_LIBRARY_PATH"] = ":".join(path for path in paths if path)


def find_cublas(programs):
    """Lets programs find cuBLAS, which they load when it is needed: the folder that was added, or
    None where the loader knows one, or none was found."""
    try:
        with open(programs.program, "rb") as file:
            name = re.search(rb"libcublas\.so\.\d+", file.read())
    except OSError:
        name = None
    if not name or name[0].decode() in output_of("/sbin/ldconfig", "-p"):
        return None
    folder = next((f for f in toolkit_folders() if os.path.exists(os.path.join(f, name[0].decode()))),
                  None)
    if folder:
        add_library_folder(programs, folder)
    return folder


def find_toolkit(programs):
    """Lets programs find the CUDA libraries that they miss. Fails where there are none."""
    programs.facts["cublas_folder"] = find_cublas(programs)
    for _ in range(8):  # a library found may miss others
        missing = [name for name, path in
                   shared_libraries(programs.program, programs.environment).items() if not path]
        if not missing:
            return
        folder = next((f for f in toolkit_folders() if os.path.exists(os.path.join(f, missing[0]))),
                      None)
        if not folder:
            break
        add_library_folder(programs, folder)
    raise Refusal(f"{programs.program}: {', '.join(missing)} not found on this machine")
