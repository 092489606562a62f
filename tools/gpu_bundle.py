# SPDX-License-Identifier: Apache-2.0
"""Programs for a GPU node: built here with the preset `cuda`, or copied there as a
bundle, a folder with the programs, the shared libraries that a bare node lacks, and
a manifest.

The node provides glibc, the compiler's runtime and the CUDA toolkit's libraries;
programs find the other libraries by a run path relative to themselves.
"""
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "cuda")
MANIFEST = "manifest.json"
SIZE_LIMIT = 60e6

# glibc (with its loader) and the compiler's runtime; the CUDA toolkit and the driver.
FROM_NODE = re.compile(
    r"(linux-vdso|ld-linux.*|lib(c|m|mvec|dl|rt|pthread|resolv|util|anl|gcc_s|stdc\+\+"
    r"|cuda|cudart|cublas|cublasLt|curand|nvJitLink|nvrtc|nvidia-.*))\.so(\..*)?$")


class BundleError(Exception):
    """One line for the user."""


def shared_libraries(program, environment=None):
    """{soname: path, or None where the loader finds none} of all that `program` loads."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False,
                          env=environment)
    if done.returncode != 0:
        raise BundleError(f"ldd {program}: {done.stderr.strip() or done.stdout.strip()}")
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
                raise BundleError(f"{program}: {name} is not on this machine")
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
    """Configures and builds the preset `cuda`, its output to stderr."""
    for command in (["cmake", "--preset", "cuda", *settings],
                    ["cmake", "--build", "--preset", "cuda"]):
        try:
            done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        except OSError as error:
            raise BundleError(f"{command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            raise BundleError(f"{' '.join(command)}: failed, see above")


def gpu_tests(listing):
    """Tests with the label gpu of ctest's listing (--show-only=json-v1): name, command and
    environment of each."""
    tests = []
    for test in listing["tests"]:
        properties = {p["name"]: p["value"] for p in test.get("properties", [])}
        if "gpu" in properties.get("LABELS", []):
            tests.append({"name": test["name"], "command": test["command"],
                          "environment": dict(pair.split("=", 1)
                                              for pair in properties.get("ENVIRONMENT", []))})
    return tests


def built_tests():
    listing = subprocess.run(["ctest", "--test-dir", BUILD, "--show-only=json-v1"],
                             capture_output=True, text=True, check=True).stdout
    tests = gpu_tests(json.loads(listing))
    if not tests:
        raise BundleError(f"{BUILD}: has no test with the label gpu")
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
                raise BundleError(f"{copy}: loads {name} from {path}, not from the bundle")


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
    """Deletes the bundle in `folder`, which must hold nothing else: files that it does not name are
    somebody's."""
    if not os.path.exists(os.path.join(folder, MANIFEST)):
        raise BundleError(f"{folder}: holds something else than a bundle")
    with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
        known = {MANIFEST, *json.load(file)["files"]}
    found = {os.path.relpath(os.path.join(root, name), folder)
             for root, _, names in os.walk(folder) for name in names}
    if found - known:
        raise BundleError(f"{folder}: holds {min(found - known)} besides a bundle; move it away")
    shutil.rmtree(folder)


def make(folder):
    """Builds and makes the bundle in `folder`, which must be new, empty or a bundle.
    Returns its manifest."""
    if os.path.isdir(folder) and os.listdir(folder):
        clear(folder)
    # An old-style run path, because it also applies to the libraries' own dependencies. Every
    # program contains the device code, so it is compressed, and for few
    # architectures: 8.0 runs on 8.6 and 8.9, the PTX of 9.0 on later ones.
    build("-DCMAKE_BUILD_RPATH=$ORIGIN/../lib",
          "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags",
          "-DCMAKE_CUDA_FLAGS=-Xfatbin=-compress-all",
          "-DCMAKE_CUDA_ARCHITECTURES=80-real;90")
    tests, left_out = split_tests(built_tests())
    programs = [os.path.join(BUILD, "escapement"), *(t["command"][0] for t in tests)]
    copy_all(folder, list(dict.fromkeys(programs)))
    manifest = write_manifest(folder, tests, left_out)
    if manifest["bytes"] > SIZE_LIMIT:
        raise BundleError(f"{folder}: {manifest['bytes'] / 1e6:.1f} MB, more than "
                          f"{SIZE_LIMIT / 1e6:.0f}")
    return manifest


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


def open_bundle(folder):
    """Programs of a bundle, every byte as it was made."""
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError) as error:
        raise BundleError(f"{folder}: is no bundle ({error})") from error
    for name, want in manifest["files"].items():
        path = os.path.join(folder, name)
        if not os.path.exists(path) or digest(path) != want:
            raise BundleError(f"{path}: is not the file of the manifest; make the bundle anew")
        if name.startswith("bin" + os.sep):
            os.chmod(path, 0o755)
    if manifest["machine"] != platform.machine():
        raise BundleError(f"{folder}: is for {manifest['machine']}, not {platform.machine()}")
    folder = os.path.abspath(folder)
    tests = [{**t, "command": [os.path.join(folder, t["command"][0]), *t["command"][1:]]}
             for t in manifest["tests"]]
    facts = {key: manifest[key] for key in ("version", "commit", "toolkit", "left_out")}
    return Programs(os.path.join(folder, "bin", "escapement"), tests, {"bundle": True, **facts})


def open_build():
    """Programs built here and now."""
    build()
    program = os.path.join(BUILD, "escapement")
    return Programs(program, built_tests(), {
        "bundle": False, "version": output_of(program, "--version"), "commit": commit(program),
        "toolkit": toolkit_version(), "left_out": []})


def toolkit_folders():
    """Where CUDA's libraries may lie, the likeliest first."""
    nvcc = shutil.which("nvcc")
    roots = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"),
             nvcc and os.path.dirname(os.path.dirname(os.path.realpath(nvcc))),
             "/usr/local/cuda", *sorted(glob.glob("/usr/local/cuda-*"), reverse=True)]
    folders = [os.path.join(root, name) for root in roots if root
               for name in ("lib64", "lib", "targets/x86_64-linux/lib")]
    return folders + glob.glob(os.path.join(sysconfig.get_path("purelib"), "nvidia", "*", "lib"))


def find_toolkit(programs):
    """Lets programs find the CUDA libraries that they miss. Fails where there are none."""
    for _ in range(8):  # a library found may miss others
        missing = [name for name, path in
                   shared_libraries(programs.program, programs.environment).items() if not path]
        if not missing:
            return
        folder = next((f for f in toolkit_folders() if os.path.exists(os.path.join(f, missing[0]))),
                      None)
        if not folder:
            break
        paths = [programs.environment.get("LD_LIBRARY_PATH"), folder]
        programs.environment["LD_LIBRARY_PATH"] = ":".join(path for path in paths if path)
    raise BundleError(f"{programs.program}: {', '.join(missing)} not found on this machine")
