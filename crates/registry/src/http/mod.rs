//! The HTTP surface: the router made from the route table, and a handler for each operation, in files by noun.

pub(crate) mod call;
pub(crate) mod problem;
pub(crate) mod router;
pub(crate) mod serve;

pub(crate) mod access;
mod agents;
mod audit;
mod events;
mod hub_files;
mod keys;
mod pairing;
mod service;
mod tasks;
mod ws;

use router::Handler;

macro_rules! handlers {
    ($($operation:ident => $path:path),+ $(,)?) => {
        &[$((stringify!($operation), |call| Box::pin($path(call)))),+]
    };
}

/// The handler of each operation of the route table.
pub(crate) const HANDLERS: &[(&str, Handler)] = handlers! {
    health => service::health,
    metrics => service::metrics,
    openapi => service::openapi,
    ice_config => service::ice_config,
    topology => service::topology,
    hub_state => service::hub_state,
    settings => service::settings,
    events => events::stream,
    signaling => ws::upgrade,

    token => access::token,
    login => access::login,
    session => access::session,
    logout => access::logout,
    login_link => access::login_link,
    set_password => access::set_password,
    list_sessions => access::list_sessions,
    end_session => access::end_session,

    list_audit => audit::list,

    create_key => keys::create,
    list_keys => keys::list,
    revoke_key => keys::revoke,
    rotate_key => keys::rotate,
    reload_keys => keys::reload,
    rotate_signing => keys::rotate_signing,

    register_agent => agents::register,
    list_agents => agents::list,
    get_agent => agents::get,
    remove_agent => agents::remove,
    route_skill => agents::route,
    heartbeat => agents::heartbeat,

    submit_task => tasks::submit,
    list_tasks => tasks::list,
    list_tasks_array => tasks::list_array,
    get_task => tasks::get,
    update_task => tasks::update,
    cancel_task => tasks::cancel,
    answer_task => tasks::answer,
    wait_task => tasks::wait,
    task_chunks => tasks::chunks,
    task_history => tasks::history,

    create_invite => pairing::create_invite,
    make_invite => pairing::make_invite,
    certify_key => pairing::certify_key,
    redeem_invite => pairing::redeem,
    pairing_status => pairing::status,
    list_pending => pairing::list_pending,
    list_pairing => pairing::list_all,
    approve => pairing::approve,
    certify => pairing::certify,
    reject => pairing::reject,
    revoke => pairing::revoke,
};
