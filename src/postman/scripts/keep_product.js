// For the requests that change this product.
if (pm.response.code < 300) {
    pm.collectionVariables.set("productId", pm.response.json().id);
    pm.collectionVariables.set("etag", pm.response.headers.get("ETag"));
}
