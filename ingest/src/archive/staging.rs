//! An object that is not yet complete, and leaves nothing behind however its request ends.

use infra::s3::{Multipart, Store, StoreError};

/// Aborts the upload when it is dropped unfinished, as happens when a client hangs up.
#[derive(Debug)]
pub(crate) struct Staging(Option<Multipart>);

impl Staging {
    pub(crate) fn begin(store: &Store, key: &str, content_type: &str) -> Self {
        Self(Some(store.begin(key, content_type)))
    }

    pub(crate) async fn write(&mut self, data: &[u8]) -> Result<(), StoreError> {
        match &mut self.0 {
            Some(upload) => upload.write(data).await,
            None => Ok(()),
        }
    }

    /// Makes the object visible.
    pub(crate) async fn finish(mut self) -> Result<(), StoreError> {
        match self.0.take() {
            Some(upload) => upload.finish().await,
            None => Ok(()),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(upload) = self.0.take() {
            // Dropped outside the runtime, at the end of the process, it is left to the store's lifecycle rule.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(upload.abort());
            }
        }
    }
}
