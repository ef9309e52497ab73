//! Tables as diesel sees them; must match `migrations/`.

diesel::table! {
    users (id) { id -> BigInt, name -> Text, password_hash -> Text, default_password -> Bool, created -> BigInt, }
}
diesel::table! {
    settings (key) { key -> Text, value -> Text, }
}
diesel::table! {
    runs (id) {
        id -> Text,
        kind -> Text,
        state -> Text,
        triggered_by -> Text,
        requested_by -> Text,
        subject -> Text,
        request -> Text,
        journal -> Text,
        unsettled -> Bool,
        created -> BigInt,
        started -> Nullable<BigInt>,
        finished -> Nullable<BigInt>,
        backup_id -> Nullable<Text>,
        backup_filename -> Nullable<Text>,
        error -> Nullable<Text>,
        bytes -> BigInt,
        address -> Text,
        schedule_run -> Nullable<Text>,
    }
}
diesel::table! {
    schedules (id) {
        id -> Text,
        name -> Text,
        enabled -> Bool,
        plan -> Text,
        created -> BigInt,
        since -> BigInt,
    }
}
diesel::table! {
    schedule_runs (id) {
        id -> Text,
        schedule -> Text,
        name -> Text,
        slot -> Nullable<BigInt>,
        cause -> Text,
        requested_by -> Text,
        started -> BigInt,
        finished -> Nullable<BigInt>,
        report -> Text,
    }
}
diesel::table! {
    run_notes (id) { id -> BigInt, run_id -> Text, at -> BigInt, level -> Text, text -> Text, }
}
diesel::table! {
    backups (storage, id) {
        storage -> Text,
        id -> Text,
        filename -> Text,
        kind -> Text,
        container -> Text,
        server -> Text,
        triggered_by -> Text,
        state -> Text,
        schedule -> Nullable<Text>,
        created -> BigInt,
        size -> BigInt,
        stored_size -> BigInt,
        search -> Text,
        backup -> Text,
        manifest -> Nullable<Text>,
    }
}
diesel::table! {
    audit (id) {
        id -> BigInt,
        at -> BigInt,
        operation -> Text,
        actor -> Text,
        address -> Text,
        target -> Text,
        outcome -> Text,
        error -> Nullable<Text>,
        details -> Text,
        hash -> Text,
    }
}
diesel::table! {
    api_tokens (id) {
        id -> BigInt,
        name -> Text,
        scope -> Text,
        hash -> Text,
        user_id -> BigInt,
        created -> BigInt,
        expires -> Nullable<BigInt>,
        last_used -> Nullable<BigInt>,
    }
}
diesel::table! {
    channels (id) {
        id -> BigInt,
        name -> Text,
        kind -> Text,
        address -> Text,
        shown -> Text,
        wish -> Text,
        schedule -> Nullable<Text>,
        enabled -> Bool,
        last -> Nullable<BigInt>,
        problem -> Nullable<Text>,
    }
}
diesel::table! {
    notices (id) {
        id -> BigInt,
        channel -> BigInt,
        created -> BigInt,
        notice -> Text,
        attempts -> BigInt,
        next -> BigInt,
    }
}
diesel::table! {
    marks (storage, id) {
        storage -> Text,
        id -> Text,
        pinned -> Bool,
        note -> Nullable<Text>,
        verified -> Nullable<BigInt>,
        damage -> Nullable<Text>,
    }
}
diesel::table! {
    deleted_backups (storage, id) {
        storage -> Text,
        id -> Text,
        deleted -> BigInt,
        deleted_by -> Text,
        backup -> Text,
        manifest -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(backups, marks);
