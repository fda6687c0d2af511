//! Counter of requests to the store, which most providers bill.

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use prometheus::{IntCounterVec, Opts};

#[derive(Debug, Clone)]
pub(super) struct Requests(pub IntCounterVec);

impl Requests {
    pub(super) fn new() -> prometheus::Result<Self> {
        let about = Opts::new("crownest_store_requests_total", "Requests to the object store, repeated ones too");
        Ok(Self(IntCounterVec::new(about, &["method"])?))
    }
}

impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.with_label_values(&[context.request().method()]).inc();
        Ok(())
    }
}
