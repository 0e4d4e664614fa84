-- Every write of a user's tasks and messages takes the next number of `users.last_change`, under the lock of that
-- row: numbers become visible in order, so "what changed since 41?" has one answer on every replica.

alter table users add column last_change bigint not null default 0;

alter table tasks add column change bigint not null default 0;
-- A deleted task stays for a while: it can be restored, and other windows still have to hear of it.
alter table tasks add column deleted_at bigint;
-- Both texts in lower case, made by the application: databases disagree about letters beyond ASCII.
alter table tasks add column title_folded text not null default '';
alter table tasks add column description_folded text not null default '';
update tasks set title_folded = lower(title), description_folded = lower(description);
create index tasks_by_change on tasks (user_id, change);
create index tasks_deleted on tasks (deleted_at) where deleted_at is not null;

alter table messages add column change bigint not null default 0;
create index messages_by_change on messages (user_id, change);
