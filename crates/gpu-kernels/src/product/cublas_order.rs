//! A product's place among the work of CubeCL, whose streams are its own and known to nobody else.
//!
//! CUDA has events that stand for a whole context instead of a stream (`cuCtxRecordEvent` and `cuCtxWaitEvent`, since CUDA 12.5):
//! recorded before the product, one stands for all work on all streams so far, and the product's stream waits for it; recorded
//! behind the product on its stream, the other is waited for by all work that comes after, on any stream. The host waits for
//! nothing. A driver without them makes the host wait: for the context before the product, for the product's stream after it.

use std::ffi::CStr;

use cudarc::driver::result::{self, DriverError, event, stream};
use cudarc::driver::sys::{self, CUcontext, CUevent, CUevent_flags, CUresult, CUstream};

type OnContext = unsafe extern "C" fn(CUcontext, CUevent) -> CUresult;

/// A stream for products in a context, and how work on it is put in order with all other work of the context.
pub struct Lane {
    context: CUcontext,
    stream: CUstream,
    events: Option<ContextEvents>,
}

struct ContextEvents {
    record: OnContext,
    wait: OnContext,
    before: CUevent,
    after: CUevent,
}

impl Lane {
    /// A lane of the thread's current context.
    pub fn new(context: CUcontext) -> Result<Self, DriverError> {
        Ok(Self {
            context,
            stream: stream::create(stream::StreamKind::NonBlocking)?,
            events: ContextEvents::of_driver()?,
        })
    }

    pub fn stream(&self) -> CUstream {
        self.stream
    }

    /// Whether the host waits for every product.
    pub fn host_waits(&self) -> bool {
        self.events.is_none()
    }

    /// All work on the stream from here on comes after all work of the context so far.
    pub fn enter(&self) -> Result<(), DriverError> {
        let Some(events) = &self.events else {
            return result::ctx::synchronize();
        };
        // SAFETY: the context, the stream and the event are alive and belong together; an event may be recorded anew while
        // something waits for what it stood for.
        unsafe {
            (events.record)(self.context, events.before).result()?;
            sys::cuStreamWaitEvent(self.stream, events.before, 0).result()
        }
    }

    /// All work of the context from here on comes after what the stream has.
    pub fn leave(&self) -> Result<(), DriverError> {
        let left = self.events.as_ref().is_some_and(|events| {
            // SAFETY: as in `enter`.
            unsafe {
                event::record(events.after, self.stream).is_ok()
                    && (events.wait)(self.context, events.after).result().is_ok()
            }
        });
        match left {
            true => Ok(()),
            // SAFETY: the stream is alive.
            false => unsafe { stream::synchronize(self.stream) },
        }
    }
}

impl ContextEvents {
    fn of_driver() -> Result<Option<Self>, DriverError> {
        let functions = (function(c"cuCtxRecordEvent"), function(c"cuCtxWaitEvent"));
        let (Some(record), Some(wait)) = functions else {
            return Ok(None);
        };
        let new_event = || event::create(CUevent_flags::CU_EVENT_DISABLE_TIMING);
        Ok(Some(Self {
            record,
            wait,
            before: new_event()?,
            after: new_event()?,
        }))
    }
}

/// A function of the driver that older ones do not have.
fn function(name: &CStr) -> Option<OnContext> {
    // SAFETY: both functions of these names have this signature; the driver is never unloaded.
    unsafe {
        let found = sys::culib().get::<OnContext>(name.to_bytes_with_nul());
        found.ok().map(|function| *function)
    }
}
