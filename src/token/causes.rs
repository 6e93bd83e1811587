//! What providers' error codes mean and what to do about each: the table behind `explain`.
//!
//! Numbers: Microsoft's AADSTS codes ("Microsoft identity platform application authentication and authorization error
//! codes"). Names: RFC 6749 sections 4.1.2.1 and 5.2, OpenID Connect Core section 3.1.2.6, and Google's additions.
//! In a remedy `{account}` stands for the account's name.

/// What follows from an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It passes by itself.
    Later,
    /// The grant is dead: no token of any resource can be had with it.
    GrantLost,
    /// This resource needs a person at the sign-in page; other resources may still work.
    Person,
    /// The app is set up wrongly, at the provider or here.
    Setup,
}

/// One cause with all the codes that mean it.
pub(super) struct Cause<Code: 'static> {
    pub(super) codes: &'static [Code],
    pub(super) kind: Kind,
    pub(super) cause: &'static str,
    pub(super) remedy: &'static str,
}

/// The whole remedy where a sign-in is enough.
pub(super) const SIGN_IN: &str = "run `oxpost login {account}`";
const WAIT: &str = "nothing to do: oxpost tries again by itself";
const ADMIN_THEN_SIGN_IN: &str = "the tenant's administrator must allow it; then run `oxpost login {account}`";

const fn row<Code>(kind: Kind, codes: &'static [Code], cause: &'static str, remedy: &'static str) -> Cause<Code> {
    Cause { codes, kind, cause, remedy }
}

/// By AADSTS number.
pub(super) const BY_NUMBER: &[Cause<u32>] = &[
    // The grant is lost.
    row(Kind::GrantLost, &[70000], "the refresh token is not valid any more", SIGN_IN),
    row(Kind::GrantLost, &[70008, 700082], "the refresh token expired because it was not used for too long", SIGN_IN),
    row(
        Kind::GrantLost,
        &[70043],
        "the organisation's sign-in frequency (Conditional Access) ended the sign-in",
        "run `oxpost login {account}`; to make it last, ask the administrator to exempt the mailbox from the sign-in frequency, or use client credentials",
    ),
    row(
        Kind::GrantLost,
        &[700_084],
        "the refresh token belongs to a single-page app and ended after 24 hours",
        "register the redirect URI under \"Mobile and desktop applications\", not under \"Single-page application\"; then run `oxpost login {account}`",
    ),
    row(Kind::GrantLost, &[50173], "the refresh token was revoked (password changed, or sign-ins revoked)", SIGN_IN),
    row(Kind::GrantLost, &[50089, 50132, 50133], "the sign-in ended: it was revoked or the password changed", SIGN_IN),
    row(
        Kind::GrantLost,
        &[50055, 50144],
        "the mailbox's password has expired",
        "change the password at Microsoft, then run `oxpost login {account}`",
    ),
    row(
        Kind::GrantLost,
        &[70019],
        "the code for the sign-in has expired",
        "start the sign-in again: `oxpost login {account}`",
    ),
    row(
        Kind::GrantLost,
        &[70018],
        "the code for the sign-in was mistyped",
        "start the sign-in again: `oxpost login {account}`",
    ),
    // A person is needed, or an administrator first.
    row(Kind::Person, &[50072, 50074, 50076, 50078, 50079], "multi-factor authentication is due", SIGN_IN),
    row(
        Kind::Person,
        &[50097, 50129, 53000, 53001],
        "only a known and compliant device may sign in, which a gateway cannot be",
        "ask the tenant's administrator to exempt the mailbox from that policy, or use client credentials; then run `oxpost login {account}`",
    ),
    row(Kind::Person, &[50158, 700_020, 16000], "the sign-in needs another step in the browser", SIGN_IN),
    row(
        Kind::Person,
        &[65001, 65004],
        "the app has no consent for what is asked, or it was declined",
        "run `oxpost login {account}` and accept; where users may not, an administrator consents for everybody at {consent}",
    ),
    row(
        Kind::Person,
        &[90094, 90095],
        "an administrator must consent to the app's permissions",
        "let an administrator consent at {consent} (or in the Entra admin center: App registrations, API permissions, Grant admin consent); then run `oxpost login {account}`",
    ),
    row(
        Kind::Person,
        &[53003, 530_032, 530_035, 53004, 53010, 53011, 50005, 50131],
        "a policy of the organisation (Conditional Access, security defaults) blocks the sign-in",
        "another sign-in alone does not help: the tenant's administrator finds the policy in the sign-in log and must exempt the mailbox; then run `oxpost login {account}`",
    ),
    row(
        Kind::Person,
        &[50105],
        "the mailbox's user is not assigned to the app",
        "the administrator must assign the user (Entra admin center, Enterprise applications, Users and groups); then run `oxpost login {account}`",
    ),
    row(
        Kind::GrantLost,
        &[50057],
        "the user is disabled",
        "the administrator must enable the user; then run `oxpost login {account}`",
    ),
    row(
        Kind::Person,
        &[50053],
        "the user is locked after too many wrong passwords, or this address is on a block list",
        ADMIN_THEN_SIGN_IN,
    ),
    row(
        Kind::GrantLost,
        &[50020, 50034],
        "the user who signed in is not in this tenant",
        "sign in as the mailbox itself, and check the provider's `tenant`: `oxpost login {account}`",
    ),
    // The app is set up wrongly.
    row(
        Kind::Setup,
        &[7_000_215],
        "the client secret is wrong",
        "copy the secret's *value*, not its *secret id*, to where `client_secret` says (Entra admin center, App registrations, Certificates & secrets; the value is shown once, when the secret is made: make a new one if it is gone)",
    ),
    row(
        Kind::Setup,
        &[7_000_222],
        "the client secret has expired",
        "make a new client secret (Entra admin center, App registrations, Certificates & secrets), put its value where `client_secret` says, and reload",
    ),
    row(
        Kind::Setup,
        &[7_000_218],
        "the provider expects a client secret",
        "Entra admin center, App registrations, Authentication: register the redirect URI under \"Mobile and desktop applications\" and switch on \"Allow public client flows\"; or set `client_secret`",
    ),
    row(
        Kind::Setup,
        &[700_025],
        "the app is a public client and must not send a secret",
        "remove `client_secret`, or register the redirect URI under \"Web\"",
    ),
    row(
        Kind::Setup,
        &[700_027, 50012, 700_030, 50013, 500_133],
        "the client assertion is not accepted",
        "check that `certificate` is the one uploaded to the app (Entra admin center, App registrations, Certificates & secrets), or the federated credential's issuer and subject, and this machine's clock",
    ),
    row(
        Kind::Setup,
        &[700_016, 700_011, 70001, 7_000_112],
        "the app is unknown or disabled in this tenant",
        "check `client_id` (the *application (client) id* on the overview of the app registration, not its object id) and `tenant` (the directory where the app is), and that the app is enabled for users to sign in (Entra admin center, Enterprise applications, Properties)",
    ),
    row(
        Kind::Setup,
        &[50011, 70004, 900_971],
        "the redirect URI is not registered for the app",
        "Entra admin center, App registrations, Authentication: register `http://localhost` under \"Mobile and desktop applications\", or the exact `redirect_uri` of the configuration",
    ),
    row(
        Kind::Setup,
        &[90002, 50059, 50128],
        "the tenant is not found",
        "check `tenant`, and `cloud` if it is in a national cloud",
    ),
    row(
        Kind::Setup,
        &[50194, 9_001_023, 90124, 90130, 9_002_332],
        "the app cannot be used through this tenant name (`common`, `organizations`, `consumers`)",
        "set `tenant` to the tenant's own domain or id",
    ),
    row(
        Kind::Setup,
        &[70011, 28002, 28003, 700_022, 700_023],
        "a scope is wrong, or scopes of several resources were asked for at once",
        "remove `scopes` from the provider, or name scopes of one resource only",
    ),
    row(
        Kind::Setup,
        &[500_011, 50001, 650_052, 650_057, 65005, 650_056],
        "the app lacks the permission, or the tenant lacks the service",
        "add the permission to the app registration (Graph `Mail.Send`, Office 365 Exchange Online `SMTP.Send` or `SMTP.SendAsApp`) and grant consent",
    ),
    row(
        Kind::Setup,
        &[501_481, 50147, 501_491],
        "the code and its proof (PKCE) do not belong together",
        "start the sign-in again: `oxpost login {account}`",
    ),
    row(
        Kind::Later,
        &[54005],
        "the code was used already",
        "start the sign-in again if the account is not signed in by now: `oxpost login {account}`",
    ),
    row(
        Kind::Setup,
        &[700_005],
        "the code was issued for another tenant",
        "check `tenant`, then sign in again: `oxpost login {account}`",
    ),
    row(
        Kind::Setup,
        &[90038, 900_432, 900_382],
        "the app or user belongs to another national cloud",
        "set the provider's `cloud`",
    ),
    row(
        Kind::Setup,
        &[65002, 90099],
        "the app is Microsoft's own or is not authorised in this tenant",
        "register an app of your own and set its `client_id`",
    ),
    // It passes.
    row(
        Kind::Later,
        &[50033, 50087, 90006, 90012, 90024, 90033, 90055, 90090, 70012],
        "Microsoft has trouble of its own",
        WAIT,
    ),
    row(Kind::Later, &[50196], "Microsoft says that tokens are asked for too often", WAIT),
    row(Kind::Later, &[70016], "nobody has entered the code yet", WAIT),
];

/// By `suberror` (Microsoft) or `error_subtype` (Google), which say more than `error`.
pub(super) const BY_SUBTYPE: &[Cause<&str>] = &[
    row(
        Kind::Setup,
        &["client_mismatch"],
        "the refresh token belongs to another app",
        "check `client_id`, or sign in again: `oxpost login {account}`",
    ),
    row(
        Kind::Setup,
        &["protection_policy_required"],
        "an app protection policy is required, which a gateway cannot satisfy",
        "ask the tenant's administrator to exempt the app",
    ),
    row(Kind::GrantLost, &["bad_token", "token_expired"], "the refresh token is not valid any more", SIGN_IN),
    row(
        Kind::Person,
        &["consent_required"],
        "the app has no consent for what is asked",
        "run `oxpost login {account}` and accept; where users may not, an administrator consents for everybody at {consent}",
    ),
    row(
        Kind::Person,
        &["basic_action", "additional_action", "message_only"],
        "the sign-in needs a step in the browser",
        SIGN_IN,
    ),
    row(
        Kind::GrantLost,
        &["user_password_expired"],
        "the mailbox's password has expired",
        "change the password at Microsoft, then run `oxpost login {account}`",
    ),
    row(
        Kind::Person,
        &["device_authentication_failed"],
        "only a known device may sign in, which a gateway cannot be",
        ADMIN_THEN_SIGN_IN,
    ),
    row(
        Kind::GrantLost,
        &["invalid_rapt"],
        "Google Cloud session control ended the sign-in",
        "run `oxpost login {account}`; to make it last, let the Workspace administrator mark the app as trusted",
    ),
];

/// By `error`.
pub(super) const BY_NAME: &[Cause<&str>] = &[
    row(Kind::GrantLost, &["invalid_grant"], "the sign-in has expired or was revoked", SIGN_IN),
    row(
        Kind::Person,
        &["interaction_required", "login_required", "consent_required", "account_selection_required"],
        "the provider wants a person at its sign-in page",
        SIGN_IN,
    ),
    row(
        Kind::Person,
        &["access_denied", "authorization_declined"],
        "the sign-in was declined",
        "start the sign-in again and accept: `oxpost login {account}`",
    ),
    row(
        Kind::Person,
        &["expired_token", "bad_verification_code"],
        "the code for the sign-in has expired",
        "start the sign-in again: `oxpost login {account}`",
    ),
    row(
        Kind::Setup,
        &["invalid_client"],
        "the provider does not accept the app's client id or secret",
        "check `client_id` and `client_secret`",
    ),
    row(
        Kind::Setup,
        &["deleted_client"],
        "the app was deleted at Google (it does that after six months without use)",
        "make a new OAuth client and set `client_id` and `client_secret`",
    ),
    row(
        Kind::Setup,
        &["unauthorized_client"],
        "the app may not use this grant",
        "check the app's registration and the account's `grant`; a Google service account must be allowed exactly these scopes (Admin console, Security, API controls, Domain-wide delegation)",
    ),
    row(
        Kind::Setup,
        &["unsupported_grant_type", "unsupported_response_type"],
        "the provider does not offer this grant",
        "check the account's `grant` and the provider's endpoints",
    ),
    row(
        Kind::Setup,
        &["invalid_scope"],
        "the provider does not know a scope, or does not give it to this app",
        "check the provider's `scopes` and the app's permissions",
    ),
    row(
        Kind::Setup,
        &["invalid_request", "invalid_resource", "invalid_target"],
        "the provider does not accept the request",
        "check `tenant`, `client_id`, `scopes` and the redirect URI",
    ),
    row(
        Kind::Setup,
        &["redirect_uri_mismatch"],
        "the redirect URI is not registered for the app",
        "use an OAuth client of the type \"Desktop app\", or register the exact `redirect_uri`",
    ),
    row(
        Kind::Setup,
        &["admin_policy_enforced", "org_internal"],
        "the Workspace administrator does not allow this app",
        "let the Workspace administrator mark the app as trusted",
    ),
    row(
        Kind::Later,
        &[
            "temporarily_unavailable",
            "server_error",
            "slow_down",
            "authorization_pending",
            "internal_failure",
            "rate_limit_exceeded",
        ],
        "the provider has trouble of its own, or asks to slow down",
        WAIT,
    ),
];
