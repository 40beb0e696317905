"""Prints what AgentDojo's ground truth does, as JSON lines: no model is asked.

    record.py SUITE...

One line a case. {"suite", "tools"} comes first for each suite; then, for each user task, {"suite", "task",
"prompt", "calls"}, and for each injection task that the task's reads show, the same with "injection": the
task's calls up to the one whose result shows the injection, and then the calls that the injection asks for.
A call has its function, args, the text of its result, whether it changed the environment, and whether it is
the injection's.
"""

import copy
import importlib
import importlib.util
import json
import sys
import types


def bare(name):
    """Makes a package whose own __init__ is left out: some load every suite, or every client of a model."""
    parent = importlib.import_module(name.rpartition(".")[0])
    module = types.ModuleType(name)
    module.__path__ = [f"{parent.__path__[0]}/{name.rpartition('.')[2]}"]
    sys.modules[name] = module


def stub(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


spec = importlib.util.find_spec("agentdojo")
sys.modules["agentdojo"] = package = types.ModuleType("agentdojo")
package.__path__, package.__spec__ = spec.submodule_search_locations, spec
bare("agentdojo.task_suite")
bare("agentdojo.agent_pipeline")
stub("agentdojo.agent_pipeline.ground_truth_pipeline", GroundTruthPipeline=object)

import yaml  # noqa: E402
from agentdojo.functions_runtime import FunctionsRuntime  # noqa: E402
from pydantic import BaseModel  # noqa: E402

suites = importlib.import_module("agentdojo.task_suite.task_suite")
sys.modules["agentdojo.task_suite"].TaskSuite = suites.TaskSuite


MARK = "an-injection-stands-here"


def plain(value):
    if isinstance(value, BaseModel):
        return json.loads(value.model_dump_json())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def text(value):
    """The text of a result: JSON, as servers of tools answer."""
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def run(runtime, env, call, injected):
    before = env.model_dump_json()
    result, error = runtime.run_function(env, call.function, call.args)
    return {
        "function": call.function,
        "args": plain(dict(call.args)),
        "result": error or text(result),
        "changes": env.model_dump_json() != before,
        **({"injected": True} if injected else {}),
    }


def environment(suite, goal):
    """The suite's environment, with a goal at each place for injections; what is quoted in YAML stays what it is."""
    vectors = suite.get_injection_vector_defaults()
    raw = suites.read_suite_file(suite.name, "environment.yaml", suite.data_path)
    if goal is None:
        return suite.load_and_inject_default_environment({})
    return suite.environment_type.model_validate(put(yaml.safe_load(raw.format(**dict.fromkeys(vectors, MARK))), goal))


def put(value, goal):
    if isinstance(value, dict):
        return {k: put(v, goal) for k, v in value.items()}
    if isinstance(value, list):
        return [put(v, goal) for v in value]
    return value.replace(MARK, goal) if isinstance(value, str) else value


def record(suite, task, goal, stop=None, attack=None):
    """Runs a task's calls, as far as the one numbered stop, and then those of an attack."""
    env = task.init_environment(environment(suite, goal))
    runtime = FunctionsRuntime(suite.tools)
    calls = []
    for i, call in enumerate(task.ground_truth(copy.deepcopy(env))):
        calls.append(run(runtime, env, call, False))
        if i == stop:
            break
    if attack is not None:
        for call in attack.ground_truth(copy.deepcopy(env)):
            calls.append(run(runtime, env, call, True))
    return calls


def main(names):
    for name in names:
        module = importlib.import_module(f"agentdojo.default_suites.v1.{name}")
        suite = getattr(module, f"{name}_task_suite")
        tools = [
            {"name": f.name, "description": f.description, "inputSchema": f.parameters.model_json_schema()}
            for f in suite.tools
        ]
        print(json.dumps({"suite": name, "tools": tools}))
        for task_id, task in suite.user_tasks.items():
            base = {"suite": name, "task": task_id, "prompt": task.PROMPT}
            print(json.dumps({**base, "calls": record(suite, task, None)}))
            marked = record(suite, task, MARK)
            shown = next((i for i, call in enumerate(marked) if MARK in call["result"]), None)
            for injection_id, injection in suite.injection_tasks.items():
                line = {**base, "injection": injection_id, "goal": injection.GOAL, "calls": []}
                if shown is not None:
                    line["calls"] = record(suite, task, injection.GOAL, shown, injection)
                print(json.dumps(line))


if __name__ == "__main__":
    main(sys.argv[1:])
