// After this request it goes on with direct, until the time is over.
if (Date.now() < Number(pm.collectionVariables.get("stressUntil"))) {
    pm.execution.setNextRequest("direct");
} else {
    pm.collectionVariables.unset("stressUntil");
}
