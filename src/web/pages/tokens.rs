//! API tokens: the list, a new one, revoking.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    app::App,
    error::{AppError, Result},
    model::secret::Secret,
    ops::{Actor, tokens},
    web::{
        client::Client,
        format::When,
        input::{Input, Path},
        shell::{Done, Nav, Screen, Shell, json_response, render},
    },
};

/// A row of the list.
struct Row {
    token: tokens::Token,
    created: When,
    expires: Option<When>,
    expired: bool,
    last_used: Option<When>,
}

#[derive(Template)]
#[template(path = "tokens/list.html")]
struct TokensScreen {
    rows: Vec<Row>,
    /// The one that was just made: its name and what it is.
    made: Option<(String, Secret)>,
    form: Form,
    problems: BTreeMap<String, String>,
}

impl TokensScreen {
    fn problem(&self, field: &str) -> Option<&String> {
        self.problems.get(field)
    }
}

impl Screen for TokensScreen {
    fn title(&self) -> Cow<'_, str> {
        "API tokens".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

async fn screen(app: &App, shell: &Shell) -> Result<TokensScreen> {
    let rows = tokens::list(app).await?.into_iter().map(|token| Row {
        created: shell.when(token.created),
        expires: token.expires.map(|at| shell.when(at)),
        expired: token.is_expired(shell.now),
        last_used: token.last_used.map(|at| shell.when(at)),
        token,
    });
    Ok(TokensScreen { rows: rows.collect(), made: None, form: Form::default(), problems: BTreeMap::new() })
}

/// One of `GET /api/tokens`.
fn shape(token: &tokens::Token) -> Value {
    json!({
        "id": token.id, "name": token.name, "scope": token.scope, "user": token.user,
        "created": token.created.to_rfc3339(), "expires": token.expires.map(|at| at.to_rfc3339()),
        "last_used": token.last_used.map(|at| at.to_rfc3339()),
    })
}

/// `GET /settings/tokens` and `GET /api/tokens`.
pub(in crate::web) async fn list(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let screen = screen(&app, &shell).await?;
    let json = |screen: &TokensScreen| {
        let tokens: Vec<_> = screen.rows.iter().map(|row| shape(&row.token)).collect();
        json!({ "tokens": tokens })
    };
    shell.show(&screen, render, json).await
}

/// A token that is wanted. Forms send an empty number for "never".
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Form {
    name: String,
    scope: String,
    expires_in_days: Days,
}

/// A number, or the text of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Days {
    Number(Option<u32>),
    Text(String),
}

impl Default for Days {
    fn default() -> Self {
        Self::Number(Some(90))
    }
}

impl Days {
    fn number(&self) -> Result<Option<u32>> {
        let wrong = || {
            AppError::field("expires_in_days", "Give a number of days, or nothing for a token without end.")
        };
        match self {
            Self::Number(days) => Ok(*days),
            Self::Text(text) if text.trim().is_empty() => Ok(None),
            Self::Text(text) => text.trim().parse().map(Some).map_err(|_| wrong()),
        }
    }

    /// Whether this is the choice of the list.
    fn is(&self, choice: &str) -> bool {
        self.number().ok().flatten().map(|days| days.to_string()).unwrap_or_default() == choice
    }
}

impl Default for Form {
    fn default() -> Self {
        Self { name: String::new(), scope: "read".to_owned(), expires_in_days: Days::default() }
    }
}

async fn make(app: &App, actor: &Actor, form: &Form) -> Result<(tokens::Token, Secret)> {
    let unknown = |()| AppError::field("scope", "A token may “read”, “operate” or “admin”.");
    let scope = form.scope.parse().map_err(unknown)?;
    tokens::create(app, actor, &form.name, scope, form.expires_in_days.number()?).await
}

/// `POST /settings/tokens` and `POST /api/tokens`. The answer itself shows the token: it is never shown again.
pub(in crate::web) async fn create(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<Form>,
) -> Result<Response> {
    let made = make(&app, &actor, &form).await;
    if shell.client == Client::Api {
        let (token, secret) = made?;
        let mut body = shape(&token);
        body["success"] = json!(true);
        body["token"] = json!(secret);
        return Ok(json_response(StatusCode::CREATED, &body));
    }
    let (screen, status) = match made {
        Ok((token, secret)) => {
            let made = Some((token.name, secret));
            (TokensScreen { made, ..screen(&app, &shell).await? }, StatusCode::CREATED)
        }
        Err(AppError::Invalid { fields, .. }) => {
            let screen = TokensScreen { form, problems: fields, ..screen(&app, &shell).await? };
            (screen, StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(error) => return Err(error),
    };
    shell.again(&screen, status).await
}

#[derive(Template)]
#[template(path = "tokens/revoke.html")]
struct RevokeScreen {
    row: tokens::Token,
    last_used: Option<When>,
    dialog: bool,
}

impl Screen for RevokeScreen {
    fn title(&self) -> Cow<'_, str> {
        "Revoke an API token".into()
    }

    fn nav(&self) -> Nav {
        Nav::Settings
    }
}

/// `GET /settings/tokens/{id}/revoke`.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<Response> {
    let row = tokens::get(&app, id).await?;
    let last_used = row.last_used.map(|at| shell.when(at));
    let screen = RevokeScreen { row, last_used, dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |screen| shape(&screen.row)).await
}

/// `POST /settings/tokens/{id}/revoke` and `DELETE /api/tokens/{id}`.
pub(in crate::web) async fn revoke(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<i64>,
) -> Result<Response> {
    let token = tokens::revoke(&app, &actor, id).await?;
    let text = format!("The token {} opens nothing any more", token.name);
    let json = json!({ "success": true, "message": text });
    shell.done(Done::new(text, "/settings/tokens", json).leaving())
}
