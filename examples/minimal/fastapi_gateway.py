"""A chat gateway: `spanflow run -- uvicorn --app-dir examples/minimal fastapi_gateway:app`."""

from fastapi import FastAPI, HTTPException, Request

from spanflow.instrumentation import checkpoint, identify

app = FastAPI()


@app.post("/chat")
async def chat(request: Request) -> dict[str, str]:
    user, message = request.headers.get("authorization", "").removeprefix("Bearer "), (await request.json())["message"]
    identify(user_id=user or None, source="web")
    with checkpoint("auth_check") as gate:
        if not user:
            gate.deny("no token")
            raise HTTPException(401, "Sign in first.")
    with checkpoint("llm_thinking", model="echo") as step:
        answer = str(message).upper()  # call your model here
        step.set(input_tokens=len(message.split()), output_tokens=len(answer.split()))
    return {"answer": answer}
