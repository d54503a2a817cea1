"""The environment variables on which numbers depend: those in keys, and those that manifests record besides.

No other variable is ever read here, so that nothing secret gets into a store.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

_BLAS = {"MKL_CBWR", "MKL_DISABLE_FAST_MM", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE"}
"""Variables of the two BLAS libraries that NumPy, SciPy and torch are built with."""

_ONEDNN = {
    *("DNNL_CPU_ISA_HINTS", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA"),
    *("ONEDNN_CPU_ISA_HINTS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA"),
}

_CUDA = {
    *("CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE", "NVIDIA_TF32_OVERRIDE"),
    *("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_CUDNN_USE_HEURISTIC_MODE_B"),
    *("TORCH_CUDNN_V8_API_DISABLED", "TORCH_LINALG_PREFER_CUSOLVER"),
}

_COMPILERS = {
    *("PYTORCH_JIT", "PYTORCH_TENSOREXPR", "TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE"),
    *("TORCHINDUCTOR_CPP_ENABLE_UNSAFE_MATH_OPT_FLAG", "TORCHINDUCTOR_EMULATE_DIVISION_ROUNDING"),
    *("TORCHINDUCTOR_EMULATE_PRECISION_CASTS", "TORCHINDUCTOR_MAX_AUTOTUNE", "TORCHINDUCTOR_USE_FAST_MATH"),
}
"""Variables of torch's compilers, which fuse operations or leave them apart."""

_DISPATCH = {
    *("ATEN_CPU_CAPABILITY", "TORCH_LINEAR_FLATTEN_3D"),
    *("TORCH_MKLDNN_MATMUL_MIN_DIM", "TORCH_MKLDNN_MATMUL_MIN_SIZE"),
}
"""Variables by which torch chooses among its kernels."""

_NUMBA = {
    *("NUMBA_BOUNDSCHECK", "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME", "NUMBA_DISABLE_INTEL_SVML", "NUMBA_DISABLE_JIT"),
    *("NUMBA_ENABLE_AVX", "NUMBA_ENABLE_CUDASIM", "NUMBA_FORCE_CUDA_CC", "NUMBA_LOOP_VECTORIZE", "NUMBA_OPT"),
    *("NUMBA_SLP_VECTORIZE",),
}

IN_KEYS: dict[str, frozenset[str]] = {
    "numba": frozenset(_NUMBA),
    "numpy": frozenset({"NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"} | _BLAS),
    "scipy": frozenset(_BLAS),
    "torch": frozenset(_BLAS | _ONEDNN | _CUDA | _COMPILERS | _DISPATCH),
}
"""Distribution -> the variables, read by it or by a library that it brings along, that change its arithmetic."""

RECORDED = frozenset(
    {
        # threads: how sums are split among them
        *("GOMP_CPU_AFFINITY", "GOTO_NUM_THREADS", "KMP_AFFINITY", "KMP_BLOCKTIME", "KMP_DETERMINISTIC_REDUCTION"),
        *("MKL_DOMAIN_NUM_THREADS", "MKL_DYNAMIC", "MKL_NUM_STRIPES", "MKL_NUM_THREADS"),
        *("NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER", "NUMBA_THREADING_LAYER_PRIORITY"),
        *("OMP_DYNAMIC", "OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND", "OMP_SCHEDULE", "OMP_THREAD_LIMIT"),
        *("OPENBLAS_BLOCK_FACTOR", "OPENBLAS_DEFAULT_NUM_THREADS", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS"),
        # which device, and how its memory is handed out
        *("CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_VISIBLE_DEVICES"),
        *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING"),
        # which code runs
        *("GLIBC_TUNABLES", "LD_LIBRARY_PATH", "LD_PRELOAD"),
        *("PYTHONHASHSEED", "PYTHONOPTIMIZE", "SCIPY_ARRAY_API", "SCIPY_DEVICE"),
    }
)
"""Variables that may change numbers, and seldom do: in manifests, not in keys."""

_ALL_IN_KEYS = frozenset[str]().union(*IN_KEYS.values())
_ALL = _ALL_IN_KEYS | RECORDED


def variables_in_key(libraries: Iterable[str], named: Iterable[str] = ()) -> dict[str, str]:
    """The variables that are set and change the numbers of code that uses these libraries, with their values.

    libraries: distributions. named: variables that a component's spec names besides.
    """
    return _set(frozenset(named).union(*(IN_KEYS[library] for library in libraries if library in IN_KEYS)))


def all_variables_in_keys() -> dict[str, str]:
    """The variables that are set and change the numbers of any library, with their values."""
    return _set(_ALL_IN_KEYS)


def recorded_variables() -> dict[str, str]:
    """The variables that are set and that a manifest records, with their values."""
    return _set(_ALL)


def _set(names: frozenset[str]) -> dict[str, str]:
    """Those of the variables that are set; bytes that are no text are written as `\\udc..`."""
    values = {name: os.environ[name] for name in sorted(names.intersection(os.environ))}
    return {name: value.encode(errors="backslashreplace").decode() for name, value in values.items()}
