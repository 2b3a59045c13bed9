// The end of this client's run is set when it begins.
if (!pm.collectionVariables.get("stressUntil")) {
    pm.collectionVariables.set("stressUntil", Date.now() + 1000 * Number(pm.variables.get("stressSeconds")));
}
