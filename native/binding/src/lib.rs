//! `spanflow_core`: the engine as Python sees it. `span_processors/native.py` decides whether it is used, and is the
//! only module that imports it.
//!
//! It starts no thread, and what it keeps are answers that it got from Python, so a forked child needs nothing.
//! Sub-interpreters are refused with an `ImportError`, and then Python serves.

mod attributes;
mod resp;

use pyo3::exceptions::{PyImportError, PyRuntimeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use spanflow_engine::{caught, cleanliness};

/// Grows with every change that an older `native.py` could not live with.
const INTERFACE: u32 = 3;

/// An ordinary exception instead of a panic: PyO3's own is a `BaseException`, which would get through to a request.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    caught::caught(work).map_err(|message| PyRuntimeError::new_err(format!("the native core panicked: {message}")))
}

/// Whether a text certainly holds no secret.
///
/// The interpreter's lock is kept: a text is at most some thousand characters here, which takes microseconds, while
/// getting the lock back from a busy thread may take milliseconds.
#[pyfunction]
fn is_clean(text: &Bound<'_, PyString>) -> PyResult<bool> {
    match text.to_str() {
        Ok(text) => guarded(|| cleanliness::is_clean(text)),
        // Lone surrogates are no Unicode; Python decides about them.
        Err(_) => Ok(false),
    }
}

/// Panics, so that a test can see what becomes of it.
#[pyfunction]
fn panic_here() -> PyResult<()> {
    guarded(|| panic!("as asked"))
}

/// PyO3 keeps Python objects in statics, which interpreters must not share. It refuses by itself only where CPython
/// has a word for that, which 3.11 has not.
fn is_main_interpreter(_attached: Python<'_>) -> bool {
    // SAFETY: the thread is attached to an interpreter, as `Python` proves; both calls only read its state.
    unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) == 0 }
}

#[pymodule]
fn spanflow_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    if !is_main_interpreter(module.py()) {
        return Err(PyImportError::new_err(
            "spanflow_core does not work in sub-interpreters",
        ));
    }
    // The message goes into the exception; the default hook would write it to the gateway's standard error as well.
    std::panic::set_hook(Box::new(|_| {}));
    module.add("INTERFACE", INTERFACE)?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<attributes::AttributeEncoder>()?;
    module.add_class::<resp::ReplyReader>()?;
    module.add_function(wrap_pyfunction!(is_clean, module)?)?;
    module.add_function(wrap_pyfunction!(resp::pack_entries, module)?)?;
    module.add_function(wrap_pyfunction!(resp::pack_command, module)?)?;
    module.add_function(wrap_pyfunction!(panic_here, module)?)
}
