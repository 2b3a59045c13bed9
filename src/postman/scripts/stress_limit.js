const limit = pm.variables.get("stressLimit");
if (limit) {
    pm.request.addQueryParams(`limit=${limit}`);
}
