-- Time stamps are milliseconds since 1970, dates are ISO text: the same on every database we may support.

create table users (
    id            text    primary key,
    email         text    not null unique,
    name          text    not null,
    password_hash text    not null,
    -- Tasks are numbered per user, so that "task 3" means something to its owner.
    last_task_id  bigint  not null default 0,
    created_at    bigint  not null
);

create table tasks (
    user_id     text    not null references users (id) on delete cascade,
    id          bigint  not null,
    title       text    not null,
    description text    not null default '',
    completed   boolean not null default false,
    due_date    text,
    created_at  bigint  not null,
    updated_at  bigint  not null,
    primary key (user_id, id)
);
create index tasks_by_state on tasks (user_id, completed);

create table conversations (
    id         bigint generated always as identity primary key,
    user_id    text   not null references users (id) on delete cascade,
    created_at bigint not null,
    updated_at bigint not null
);
create index conversations_by_user on conversations (user_id, updated_at);

create table messages (
    id              bigint generated always as identity primary key,
    conversation_id bigint not null references conversations (id) on delete cascade,
    user_id         text   not null,
    role            text   not null check (role in ('user', 'assistant')),
    content         text   not null,
    -- What the assistant did and what it waits for, as JSON: a reply can be finished by any replica.
    state           text   not null default '{}',
    created_at      bigint not null
);
create index messages_by_conversation on messages (conversation_id, id);

create table revoked_tokens (
    id         text   primary key,
    expires_at bigint not null
);
