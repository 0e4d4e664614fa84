"""The least FastAPI service that does what the backend does for a task list: the thing to be compared with."""

import os
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import jwt
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

SECRET = os.environ["SECRET"]
TABLE = """create table if not exists twin_tasks (user_id text not null, id bigserial, title text not null,
    description text not null default '', completed boolean not null default false,
    created_at timestamptz not null default now(), primary key (user_id, id))"""


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10)
    await app.state.pool.execute(TABLE)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


class Task(BaseModel):
    id: int
    user_id: str
    title: str
    description: str
    completed: bool
    created_at: datetime


class NewTask(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=1000)


def authorize(request: Request, user_id: str) -> None:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="todo:session")
    except jwt.PyJWTError:
        raise HTTPException(401)
    if claims["sub"] != user_id:
        raise HTTPException(403)


@app.get("/api/{user_id}/tasks", response_model=list[Task])
async def tasks(user_id: str, request: Request):
    authorize(request, user_id)
    rows = await app.state.pool.fetch("select * from twin_tasks where user_id = $1 order by id limit 500", user_id)
    return [dict(row) for row in rows]


@app.post("/api/{user_id}/tasks", response_model=Task, status_code=201)
async def add(user_id: str, task: NewTask, request: Request):
    authorize(request, user_id)
    sql = "insert into twin_tasks (user_id, title, description) values ($1, $2, $3) returning *"
    return dict(await app.state.pool.fetchrow(sql, user_id, task.title, task.description))
