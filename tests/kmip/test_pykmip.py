# SPDX-License-Identifier: Apache-2.0
"""python3-pykmip's client, a codec that is not ours, through every operation that it has and the server serves."""
import pytest
import watch
from kmip.core import enums, objects
from kmip.core.attributes import Name
from kmip.core.factories.attributes import AttributeFactory
from kmip.pie import client as pie
from kmip.pie import exceptions
from kmip.pie import objects as pie_objects

VERSIONS = [version for version in enums.KMIPVersion if version.name != "KMIP_2_1"]
ATTRIBUTES = AttributeFactory()
Mask, Algorithm = enums.CryptographicUsageMask, enums.CryptographicAlgorithm


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def client(request, endpoint):
    made = pie.ProxyKmipClient(hostname=endpoint.host, port=endpoint.port, cert=endpoint.cert, key=endpoint.key,
                               ca=endpoint.ca, kmip_version=request.param)
    with made:
        yield made


def make(kind, value):
    return ATTRIBUTES.create_attribute(kind, value)


def name_filter(text):
    return make(enums.AttributeType.NAME, Name.create(text, enums.NameType.UNINTERPRETED_TEXT_STRING))


def test_life_of_a_key(client):
    name = f"life-{client.kmip_version.name}"
    uid = client.create(Algorithm.AES, 256, name=name, cryptographic_usage_mask=[Mask.ENCRYPT, Mask.DECRYPT])
    assert client.locate(attributes=[name_filter(name)]) == [uid]
    assert state_of(client, uid) == enums.State.PRE_ACTIVE
    client.activate(uid)
    assert state_of(client, uid) == enums.State.ACTIVE
    key = client.get(uid)
    assert (key.cryptographic_algorithm, key.cryptographic_length, len(key.value)) == (Algorithm.AES, 256, 32)
    with pytest.raises(exceptions.KmipOperationFailure):
        client.destroy(uid)
    client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid, "no longer needed")
    assert state_of(client, uid) == enums.State.DEACTIVATED
    client.destroy(uid)
    with pytest.raises(exceptions.KmipOperationFailure):
        client.get(uid)


def state_of(client, uid):
    _, attributes = client.get_attributes(uid, ["State"])
    return attributes[0].attribute_value.value


@pytest.mark.parametrize("algorithm, length", [(Algorithm.AES, 128), (Algorithm.AES, 192), (Algorithm.TRIPLE_DES, 192)])
def test_keys_of_each_kind_are_made(client, algorithm, length):
    uid = client.create(algorithm, length)
    assert client.get(uid).cryptographic_length == length
    client.destroy(uid)


def test_key_pair_is_made_and_both_halves_belong_together(client):
    public, private = client.create_key_pair(
        Algorithm.RSA, 2048, public_usage_mask=[Mask.VERIFY], private_usage_mask=[Mask.SIGN])
    one, other = client.get(public), client.get(private)
    assert (one.object_type, other.object_type) == (enums.ObjectType.PUBLIC_KEY, enums.ObjectType.PRIVATE_KEY)
    assert one.cryptographic_length == other.cryptographic_length == 2048
    for uid in (public, private):
        client.destroy(uid)


def samples():
    key = watch.rsa_key()
    certificate = watch.certificate(key, "sample").public_bytes(watch.serialization.Encoding.DER)
    return {
        "symmetric key": pie_objects.SymmetricKey(Algorithm.AES, 128, bytes(range(16)), [Mask.ENCRYPT, Mask.DECRYPT]),
        "public key": pie_objects.PublicKey(Algorithm.RSA, 2048, watch.spki(key), enums.KeyFormatType.X_509, [Mask.VERIFY]),
        "private key": pie_objects.PrivateKey(Algorithm.RSA, 2048, watch.pkcs8(key), enums.KeyFormatType.PKCS_8, [Mask.SIGN]),
        "certificate": pie_objects.X509Certificate(certificate, [Mask.VERIFY]),
        "secret data": pie_objects.SecretData(b"a secret", enums.SecretDataType.PASSWORD),
        "opaque object": pie_objects.OpaqueObject(b"opaque", enums.OpaqueDataType.NONE),
    }


@pytest.mark.parametrize("kind", ["symmetric key", "public key", "private key", "certificate", "secret data", "opaque object"])
def test_registered_object_comes_back_byte_for_byte(client, kind):
    given = samples()[kind]
    uid = client.register(given)
    assert client.get(uid).value == given.value
    client.destroy(uid)


def test_attributes_are_listed_and_read(client):
    uid = client.create(Algorithm.AES, 256, name=f"listed-{client.kmip_version.name}")
    names = client.get_attribute_list(uid)
    assert {"Unique Identifier", "Object Type", "Cryptographic Algorithm", "Cryptographic Length", "State", "Name",
            "Initial Date"} <= set(names)
    _, attributes = client.get_attributes(uid, ["Cryptographic Length", "Cryptographic Usage Mask"])
    assert {one.attribute_name.value for one in attributes} == {"Cryptographic Length", "Cryptographic Usage Mask"}
    client.destroy(uid)


def is_readable(client, name):
    """Whether PyKMIP can read an attribute at all: it lacks some of 1.2 and later, and the Digest of 1.0."""
    try:
        ATTRIBUTES.create_attribute(enums.AttributeType(name), None)
    except (ValueError, NotImplementedError):
        return False
    return name != "Digest" or client.kmip_version != enums.KMIPVersion.KMIP_1_0


def test_every_listed_attribute_that_it_can_read_is_understood(client):
    """PyKMIP fails on an attribute or a tag that its version does not have."""
    uid = client.create(Algorithm.AES, 256, name=f"all-{client.kmip_version.name}")
    names = [name for name in client.get_attribute_list(uid) if is_readable(client, name)]
    _, attributes = client.get_attributes(uid, names)
    assert len(attributes) == len(names) > 8
    client.destroy(uid)


def test_attribute_is_modified_and_deleted(client):
    uid = client.create(Algorithm.AES, 256, name=f"before-{client.kmip_version.name}")
    if client.kmip_version == enums.KMIPVersion.KMIP_2_0:
        new = objects.NewAttribute(attribute=Name.create("after", enums.NameType.UNINTERPRETED_TEXT_STRING))
        old = objects.CurrentAttribute(attribute=Name.create("before-KMIP_2_0", enums.NameType.UNINTERPRETED_TEXT_STRING))
        client.modify_attribute(unique_identifier=uid, current_attribute=old, new_attribute=new)
        current = objects.CurrentAttribute(attribute=Name.create("after", enums.NameType.UNINTERPRETED_TEXT_STRING))
        client.delete_attribute(unique_identifier=uid, current_attribute=current)
    else:
        attribute = name_filter(f"after-{client.kmip_version.name}")
        client.modify_attribute(unique_identifier=uid, attribute=attribute)
        assert client.locate(attributes=[attribute]) == [uid]
        client.delete_attribute(unique_identifier=uid, attribute_name="Name", attribute_index=0)
    assert "Name" not in client.get_attribute_list(uid)
    client.destroy(uid)


def test_locate_by_each_filter_that_it_has(client):
    group = f"group-{client.kmip_version.name}"
    uid = client.create(Algorithm.AES, 192, name=group)
    filters = [make(enums.AttributeType.OBJECT_TYPE, enums.ObjectType.SYMMETRIC_KEY), name_filter(group),
               make(enums.AttributeType.CRYPTOGRAPHIC_ALGORITHM, Algorithm.AES),
               make(enums.AttributeType.CRYPTOGRAPHIC_LENGTH, 192), make(enums.AttributeType.STATE, enums.State.PRE_ACTIVE)]
    assert client.locate(attributes=filters) == [uid]
    assert client.locate(maximum_items=1, attributes=filters) == [uid]
    assert client.locate(attributes=[name_filter("nobody-has-this")]) == []
    client.destroy(uid)


def test_object_that_is_not_there_is_reported(client):
    for call in (client.get, client.activate, client.destroy, client.get_attribute_list):
        with pytest.raises(exceptions.KmipOperationFailure) as raised:
            call("there-is-no-such-object")
        assert raised.value.reason == enums.ResultReason.ITEM_NOT_FOUND or client.kmip_version == enums.KMIPVersion.KMIP_2_0


def test_query_and_discover_versions_of_the_lower_client(client):
    functions = [enums.QueryFunction.QUERY_OPERATIONS, enums.QueryFunction.QUERY_OBJECTS,
                 enums.QueryFunction.QUERY_SERVER_INFORMATION]
    answer = client.proxy.query(query_functions=functions)
    assert enums.Operation.GET in answer.operations and enums.ObjectType.SYMMETRIC_KEY in answer.object_types
    if client.kmip_version != enums.KMIPVersion.KMIP_1_0:
        found = client.proxy.discover_versions().protocol_versions
        assert {(one.major, one.minor) for one in found} >= {(1, minor) for minor in range(5)}
