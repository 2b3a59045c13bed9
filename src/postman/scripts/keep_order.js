// For "One of your orders".
if (pm.response.code === 201) {
    pm.collectionVariables.set("orderId", pm.response.json().id);
}
