//! Work beside the requests, done now and then until the service has drained.

mod deliver_webhooks;
mod expire_runs;
mod gauges;
mod queue_depths;
mod record_uses;
mod sweep_answers;
mod sweep_deliveries;
mod sweep_staged;

use infra::amqp::Amqp;
use infra::service::Service;

use crate::app::App;

/// Starts all of it.
pub(crate) fn start(service: &mut Service, app: &App, amqp: &Amqp) {
    let stop = service.drained();
    service.beside(deliver_webhooks::run(app.clone(), stop.clone()));
    service.beside(expire_runs::run(app.clone(), stop.clone()));
    service.beside(gauges::run(app.clone(), stop.clone()));
    service.beside(queue_depths::run(app.clone(), amqp.clone(), stop.clone()));
    service.beside(record_uses::run(app.clone(), stop.clone()));
    service.beside(sweep_answers::run(app.clone(), stop.clone()));
    service.beside(sweep_deliveries::run(app.clone(), stop.clone()));
    service.beside(sweep_staged::run(app.clone(), stop));
}
