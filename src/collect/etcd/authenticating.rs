//! How a member's token is obtained: one login at a time, which goes on when the round that needed it gives up.

use std::sync::Arc;

use http::HeaderValue;
use secrecy::ExposeSecret as _;
use tonic::Code;

use super::super::context::ProbeContext;
use super::MemberProgress;
use super::answers;
use super::asking::Failed;
use super::connection::{MemberConnection, Open};
use super::login::{EtcdLogin, TokenState};
use super::rpc::AuthenticateRequest;
use crate::model::phase::{Cause, Phase, Unseen};

impl MemberConnection {
    /// Waits for a token; the login goes on when the round gives up on it, so that the next one has the token.
    pub(super) async fn enter(
        self: &Arc<Self>,
        context: &ProbeContext,
        open: &Arc<Open>,
        attempt: &Arc<MemberProgress>,
        etcd_login: &Arc<EtcdLogin>,
    ) -> Result<Option<HeaderValue>, Failed> {
        attempt.timer.enter(Phase::FirstByte);
        let (notify, mut authentication) = etcd_login.join();
        if let Some(notify) = notify {
            let (member_connection, context, open, etcd_login) =
                (Arc::clone(self), context.clone(), Arc::clone(open), Arc::clone(etcd_login));
            context.tasks.clone().spawn(async move {
                let job = Arc::new(MemberProgress::new(&context));
                let buying = member_connection.buy(&context, &open, &job, &etcd_login);
                let bought = match tokio::time::timeout(context.policy.response_timeout, buying).await {
                    Ok(bought) => bought,
                    Err(_) => Err(Unseen { phase: Phase::FirstByte, cause: Cause::Timeout }),
                };
                let refused = TokenState::Refused(context.clock.now().mono);
                etcd_login.hold(match &bought {
                    Ok(token_state) => token_state.clone(),
                    Err(Unseen { cause: Cause::CredentialRejected, .. }) => refused,
                    Err(_) => TokenState::None,
                });
                notify.send_replace(Some(bought));
            });
        }
        let bought = match authentication.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(bought)) => bought.clone(),
            // The login task has panicked.
            Ok(None) | Err(_) => Err(Unseen { phase: Phase::FirstByte, cause: Cause::OwnFault }),
        };
        match bought {
            Ok(TokenState::Token(token)) => Ok(Some(token)),
            Ok(TokenState::None | TokenState::Buying(_) | TokenState::Needless | TokenState::Refused(_)) => Ok(None),
            Err(unseen) => Err(Failed { unseen, was_announced: false, is_answer: true, code: None }),
        }
    }

    async fn buy(
        &self,
        context: &ProbeContext,
        open: &Open,
        job: &Arc<MemberProgress>,
        etcd_login: &EtcdLogin,
    ) -> Result<TokenState, Unseen> {
        let unread = Unseen { phase: Phase::FirstByte, cause: Cause::OwnCredential };
        let password = etcd_login.password().await.ok_or(unread)?;
        let request =
            AuthenticateRequest { name: etcd_login.user().to_owned(), password: password.expose_secret().to_owned() };
        let asked =
            self.put(context, open, job, None, |channel, origin| answers::authenticate(channel, origin, request)).await;
        match asked {
            Ok(wire) => {
                TokenState::of(&wire.token).ok_or(Unseen { phase: Phase::FirstByte, cause: Cause::ProtocolBroken })
            }
            Err(Failed { code: Some(Code::FailedPrecondition), .. }) => Ok(TokenState::Needless),
            Err(failed) => Err(failed.unseen),
        }
    }
}
